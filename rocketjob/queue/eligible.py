"""Which jobs one claimer may start: those due, of a class loaded here, and not deferred."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from math import inf
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError
from rocketjob.base.text import hinted
from rocketjob.jobs import claims
from rocketjob.jobs.job import Job
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model.registry import classes_made, loaded_classes
from rocketjob.model.types.times import plain_datetime
from rocketjob.queue.limits import Blocked
from rocketjob.queue.narrowing import Narrowing
from rocketjob.store import Filter

NO_FIELDS = {"_id", "_type", "history"}


@attrs.frozen
class Deferral:
    """Jobs that are left alone for a while.

    Attributes:
        until: on the clock's `elapsed`.
        running: ids of jobs that ran then, and that the filter matches: when one of them ends, the
            reason may have gone.
        published: the id of the document that tells others, if there is one.
    """

    until: float
    filter: Filter
    running: frozenset[Any] = frozenset()
    published: str | None = None


class Deferred:
    """Jobs that are left alone for a while, for something that is not a limit.

    Attributes:
        watches: whether the end of a job may let some of them go.
    """

    def __init__(self) -> None:
        self.watches = False
        self._deferrals: dict[str, Deferral] = {}

    def add(self, name: str, deferral: Deferral) -> None:
        """Defer jobs; the name says what they wait for."""
        self._deferrals[f"{name}: {deferral.filter!r}"] = deferral
        self.watches = self.watches or bool(deferral.running)

    def count(self, name: str) -> int:
        """Count the filters of a name."""
        return sum(key.startswith(f"{name}:") for key in list(self._deferrals))

    def filters(self) -> list[Filter]:
        """Return what is still deferred, as few filters."""
        now, blocked = clock.elapsed(), Blocked()
        for key, deferral in dict(self._deferrals).items():  # other threads add to it
            if deferral.until <= now:
                self._deferrals.pop(key, None)
            else:
                blocked.add(deferral.filter)
        return blocked.filters()

    def ends_in(self) -> float:
        """Return the seconds until the first of them is over."""
        times = [deferral.until for deferral in list(self._deferrals.values())]
        return max(0.0, min(times) - clock.elapsed()) if times else inf

    def watched(self) -> set[Any]:
        """Return the ids of the running jobs whose end matters."""
        return {id for each in list(self._deferrals.values()) for id in each.running}

    def let_go(self, ended: set[Any]) -> list[str]:
        """Forget what one of these jobs may have been the reason of; return what was published."""
        published: list[str] = []
        for key, deferral in dict(self._deferrals).items():
            if deferral.running & ended:
                self._deferrals.pop(key, None)
                published += [deferral.published] if deferral.published else []
        self.watches = bool(self.watched())
        return published

    def clear(self) -> None:
        """Forget all of it, as the re-check does."""
        self._deferrals.clear()


@attrs.define(eq=False)
class Eligible:
    """The jobs that one claimer may start, as a filter.

    Args:
        config: its `include`, `exclude` and `where` narrow what is claimed.
        quarantined: only jobs whose worker has crashed before, or only the others; None: all.

    Attributes:
        limited: whether a class has limits of its own.
        joinable: the states in which jobs of some classes can be joined while they run.
        cleared: stored keys that a claim removes.
        narrowing: what the plugins let this process take; None: they are not asked.
        which: of the classes that the server takes those that this claimer does; None: all.
        grouped: of jobs whose worker has crashed only those that are performed in a group.
        deferred: what is left alone until the next re-check.
    """

    config: Config
    quarantined: bool | None
    limited: bool = False
    joinable: list[Filter] = attrs.field(factory=list)
    cleared: list[str] = attrs.field(factory=list)
    narrowing: Narrowing | None = None
    which: Callable[[type[Job]], bool] | None = None
    grouped: bool = False
    deferred: Deferred = attrs.field(factory=Deferred)
    _seen_classes: int = -1
    _names: list[str] = attrs.field(factory=list)
    _where: Filter | None = None

    def filter(self, now: datetime, *narrower: Filter) -> dict[str, Any]:
        """Return the filter of the jobs that this claimer may start at this time, or of some."""
        return {"$and": [*self.clauses(now).values(), *narrower]}

    def clauses(self, now: datetime) -> dict[str, Filter]:
        """Return the filter's parts by name, to say which of them keeps a job waiting."""
        clauses: dict[str, Filter] = {
            "state": {"state": "queued"},
            "run_at": {"$or": [{"run_at": None}, {"run_at": {"$lte": plain_datetime(now)}}]},
            "class": {"_type": {"$in": self.class_names()}},
        }
        if self._where:
            clauses["where"] = self._where
        if self.narrowing is not None and (narrower := self.narrowing.look()):
            clauses["plugins"] = {"$and": [clause.filter for clause in narrower]}
        if deferred := self.deferred.filters():
            clauses["deferred"] = {"$nor": deferred}
        if self.grouped:
            clauses["crashes"] = claims.grouped_filter()
        elif self.quarantined is not None:
            clauses["crashes"] = claims.quarantine_filter(self.quarantined)
        return clauses

    def running(self, now: datetime) -> Filter | None:
        """Return the filter of the running jobs to join; None if no class has such jobs.

        Those in such a state are few. What else is asked is denied twice, which is the same, so
        that no store goes by it: all that runs may be due.
        """
        self.look_at_classes()
        if not self.joinable:
            return None
        clauses = self.clauses(now)
        del clauses["state"]
        clauses.pop("crashes", None)  # that is asked of the job's parts, by `free_slots`
        state = self.joinable[0] if len(self.joinable) == 1 else {"$or": self.joinable}
        return {"$and": [state, {"$nor": [{"$nor": [{"$and": list(clauses.values())}]}]}]}

    def class_names(self) -> list[str]:
        """Name the job classes that are loaded here and that this server takes."""
        self.look_at_classes()
        return self._names

    def look_at_classes(self) -> None:
        """Note what the loaded classes ask of a claim; again only when a class was made."""
        if self._seen_classes == classes_made():
            return
        self._seen_classes = classes_made()
        classes = [cls for cls in loaded_classes(Job) if takes(self.config, cls)]
        if self.which is not None:
            classes = [cls for cls in classes if self.which(cls)]
        self._names = [name for cls in classes for name in cls.stored_names()]
        self.limited = any(cls.claim_limits is not Job.claim_limits for cls in classes)
        self.joinable = []
        for cls in classes:
            if cls.joinable is not None and cls.joinable not in self.joinable:
                self.joinable.append(cls.joinable)
        self.cleared = sorted({name for cls in classes for name in cls.cleared_by_claim})
        self._where = job_filter(self.config)

    def defer(
        self,
        name: str,
        filter: Filter,
        seconds: float = inf,
        running: Iterable[Any] = (),
        published: str | None = None,
    ) -> None:
        """Leave jobs alone until the next re-check, or for this many seconds if that is sooner.

        Args:
            running: see `Deferral`; likewise `published`.
        """
        until = clock.elapsed() + min(seconds, self.config.re_check_seconds)
        self.deferred.add(name, Deferral(until, filter, frozenset(running), published))


def job_filter(config: Config) -> Filter | None:
    """Return the filter of the setting `where`, its strings parsed by the types of the fields.

    Raises:
        ConfigurationError: a string cannot be a value of its field.
    """
    try:
        return Job.where(config.where).filter() if config.where else None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"where = {config.where!r}: {error}") from None


def unknown_in(filter: Mapping[str, Any]) -> Iterator[str]:
    """Say which names in a filter no loaded class has: a misspelt name matches nothing."""
    fields = [field for cls in loaded_classes(Job) for field in cls.fields().values()]
    known = {name for field in fields for name in (field.name, *field.formerly)}
    for key, value in filter.items():
        if key in ("$and", "$or", "$nor") and isinstance(value, list):
            for clause in value:
                yield from unknown_in(clause)
        elif not key.startswith("$") and (name := key.partition(".")[0]) not in known | NO_FIELDS:
            yield hinted(f"no job class that is loaded here has a field {name}", name, known)


def takes(config: Config, cls: type[Job]) -> bool:
    """Return whether a server with these settings runs jobs of this class."""
    if cls in (Job, UnknownJob) or not cls.runnable_on(config):
        return False
    if config.include and not _names_match(config.include, cls):
        return False
    return not (config.exclude and _names_match(config.exclude, cls))


def _names_match(pattern: str, cls: type[Job]) -> bool:
    """Return whether one of the names of a class matches: a setting may still have an old one."""
    return any(re.search(pattern, name, re.IGNORECASE) for name in cls.stored_names())
