"""Rate limits: at most a number of starts in any period."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import attrs

from rocketjob.base.errors import ConfigurationError
from rocketjob.jobs.limit import COLLECTION, Limit
from rocketjob.store import Store

MOST = 10_000  # for each key, the times of this many starts are kept
PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LONGEST_FIRST = tuple(reversed(PERIODS.items()))
_RATE = re.compile(r"\s*(\d+)\s*/\s*(?:(\d+)\s*)?(second|minute|hour|day)s?\s*")


@attrs.frozen
class Rate:
    """A number of starts in any period of a given length."""

    count: int
    period: timedelta

    @classmethod
    def parse(cls, text: Any) -> Rate:
        """Parse `100/minute`, `5/second`, `1000/2hours`.

        Raises:
            ConfigurationError: it has another form; the message says what is allowed.
        """
        match = _RATE.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[1]) < 1 or (match[2] is not None and int(match[2]) < 1):
            raise ConfigurationError(
                f'rate_limit must be such as "100/minute" or "10/5seconds", not {text!r} '
                f"(periods: {', '.join(PERIODS)})"
            )
        if int(match[1]) > MOST:
            raise ConfigurationError(
                f"rate_limit {text!r}: at most {MOST} in a period; choose a shorter period"
            )
        return cls(int(match[1]), timedelta(seconds=int(match[2] or 1) * PERIODS[match[3]]))

    def __str__(self) -> str:
        seconds = int(self.period.total_seconds())
        name, length = next(unit for unit in _LONGEST_FIRST if seconds % unit[1] == 0)
        if seconds > length:
            return f"{self.count} in {seconds // length} {name}s"
        return f"{self.count} {'an' if name == 'hour' else 'a'} {name}"


@attrs.frozen(kw_only=True)
class RateLimit(Limit):
    """At most `rate.count` starts in any period, judged by the times of the last starts.

    Attributes:
        old_keys: those under which starts were noted when the class had another name.
    """

    freed_by_ends: ClassVar[bool] = False
    rate: Rate
    old_keys: Sequence[str] = ()

    def free(self, store: Store, now: datetime, session: Any = None) -> int:
        since = now - self.rate.period
        return self.rate.count - sum(start > since for start in self._starts(store, session))

    def take(self, store: Store, now: datetime, session: Any = None) -> None:
        # Keep as many as the largest limit that shares the key needs.
        stored = store.collection(COLLECTION).find_one({"_id": self.key}, session=session) or {}
        keep = max(self.rate.count, stored.get("keep", 0))
        update = {
            "$set": {"keep": keep},
            "$push": {"starts": {"$each": [now], "$slice": -keep}},
        }
        store.collection(COLLECTION).update_one(
            {"_id": self.key}, update, upsert=True, session=session
        )

    def free_at(self, store: Store, now: datetime) -> datetime | None:
        starts = sorted(self._starts(store))[-self.rate.count :]
        return starts[0] + self.rate.period if len(starts) >= self.rate.count else None

    def describe(self, store: Store, now: datetime) -> str:
        return self.rule()

    def rule(self) -> str:
        return f"at most {self.rate} may start"

    def _starts(self, store: Store, session: Any = None) -> list[datetime]:
        ids: Any = {"$in": [self.key, *self.old_keys]} if self.old_keys else self.key
        found = store.collection(COLLECTION).find({"_id": ids}, session=session)
        return [start for stored in found for start in stored.get("starts", ())]
