"""Groups of failures: those of one class, with one exception and one pattern of messages."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.text import counted
from rocketjob_plugins.failures.acknowledged import Acknowledged, acknowledged
from rocketjob_plugins.failures.looking import Failure, Failures
from rocketjob_plugins.failures.pattern import pattern_of

BARS = 24  # of a trend


@lru_cache(maxsize=20_000)
def key_of(name: str, error: str, message: str) -> str:
    """Return what tells a group from others, also tomorrow and in another process."""
    text = "\0".join((name, error, pattern_of(message)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def group_of(failure: Failure) -> str:
    """Return the key of the group of a failure."""
    return key_of(failure.name, failure.error, failure.message)


@attrs.frozen(kw_only=True)
class Group:
    """Failures that are the same but for numbers and quoted parts of their messages.

    Attributes:
        key: 16 hexadecimal digits, which stay the same.
        failures: the newest first.
        acknowledged: that somebody has seen it, and until when.
        whole: the ids of jobs of which nothing has failed that belongs to another group, as far as
            all of them was looked at.
    """

    key: str
    failures: Sequence[Failure] = attrs.field(repr=False)
    acknowledged: Acknowledged | None = None
    whole: frozenset[Any] = attrs.field(default=frozenset(), repr=False)

    @property
    def name(self) -> str:
        """The class of the jobs."""
        return self.failures[0].name

    @property
    def error(self) -> str:
        """The class of the exception."""
        return self.failures[0].error

    @property
    def pattern(self) -> str:
        return pattern_of(self.failures[0].message)

    @property
    def title(self) -> str:
        """Class, exception and pattern, in one line."""
        return ": ".join(filter(None, (f"{self.name} {self.error}", self.pattern)))

    @property
    def count(self) -> int:
        """How many jobs and slices have failed."""
        return len(self.failures)

    @property
    def slices(self) -> int:
        return sum(each.slice is not None for each in self.failures)

    @property
    def jobs(self) -> list[Any]:
        """The ids of the jobs concerned, the one that failed last first."""
        return list(dict.fromkeys(each.job_id for each in self.failures))

    @property
    def times(self) -> list[datetime]:
        """When they failed, as far as that is known, the newest first."""
        return [each.at for each in self.failures if each.at is not None]

    @property
    def first(self) -> datetime | None:
        return min(self.times, default=None)

    @property
    def last(self) -> datetime | None:
        return max(self.times, default=None)

    @property
    def messages(self) -> list[tuple[str, int]]:
        """The distinct messages with how often each occurs, the most frequent first."""
        return Counter(each.message for each in self.failures).most_common()

    @property
    def unseen(self) -> list[Failure]:
        """Those that nobody has acknowledged."""
        seen = self.acknowledged
        return [each for each in self.failures if seen is None or not seen.covers(each.at)]

    @property
    def words(self) -> str:
        """How many have failed, such as `3 jobs and 5 slices`."""
        return in_words(self.failures)


def in_words(failures: Iterable[Failure]) -> str:
    """Say how many jobs and slices there are."""
    kinds = Counter(each.slice is not None for each in failures)
    texts = [counted(kinds[False], "job")] if kinds[False] else []
    texts += [counted(kinds[True], "slice")] if kinds[True] else []
    return " and ".join(texts) or "nothing"


def groups_of(
    failures: Failures,
    *,
    since: datetime | None = None,
    name: str | None = None,
    seen: Mapping[str, Acknowledged] | None = None,
) -> list[Group]:
    """Return the groups of failures, the one that failed last first.

    Args:
        since: only failures from then on; those whose time is not known are left out then.
        name: only of jobs of this class.
        seen: what was acknowledged; None: it is read.
    """
    found: dict[str, list[Failure]] = {}
    of_jobs: dict[Any, set[str]] = {}
    for each in failures.all:
        of_jobs.setdefault(each.job_id, set()).add(group_of(each))
        if since is not None and (each.at is None or each.at < since):
            continue
        if name is None or each.name == name:
            found.setdefault(group_of(each), []).append(each)
    seen = acknowledged() if seen is None else seen
    whole = {id for id, keys in of_jobs.items() if len(keys) == 1} - failures.partial
    return [
        Group(
            key=key,
            failures=members,
            acknowledged=seen.get(key),
            whole=frozenset(m.job_id for m in members if m.job_id in whole),
        )
        for key, members in found.items()
    ]


def trend(group: Group, begin: datetime | None = None, bars: int = BARS) -> list[int]:
    """Return how many failed in each of some equal parts of a time that ends now.

    Args:
        begin: of the time; None: when the first failed.
    """
    begin = begin or group.first
    counts = [0] * bars
    if begin is None:
        return counts
    end = clock.now().timestamp()
    length = max(end - begin.timestamp(), bars) / bars
    for at in group.times:
        place = int((at.timestamp() - end) // length) + bars
        if place >= 0:
            counts[min(place, bars - 1)] += 1
    return counts
