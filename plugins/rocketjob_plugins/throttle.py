"""Hold jobs back: at most so many at once, at most so many in a time, or by a rule of your own.

    class Limited(Throttle, Job):
        throttle_running_jobs = 25
        throttle_group = "mysql"              # share the limit with other classes of this group
        rate_limit = "100/minute"             # starts in any minute
        throttle_key = lambda job: job.account_id    # count for each account apart

        @throttle
        def replica_lag_exceeded(self) -> bool:
            return replica_lag() > 10

Class attributes: `throttle_running_jobs`, `rate_limit`, `throttle_key`. Field: `throttle_group`
(editable, copied). `throttle_running_jobs` and `rate_limit` are limits: they are evaluated in the
step that claims, and cannot be exceeded however many workers claim. A method marked `@throttle` is
asked when a job was claimed; if it returns True the job is given back, and its `filter` (this
class, unless you say otherwise) is left alone until the next re-check.

Why a job waits is stored on the job at the head of those that wait: `throttled_by`, and
`throttled_since`. `ThrottleDependentJobs` holds jobs back while jobs of other classes run.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar, overload

import attrs

from rocketjob import Job, before, field, hookimpl, validate
from rocketjob.codec import encode_any
from rocketjob.document import lookup
from rocketjob.errors import ConfigurationError
from rocketjob.fields import read_only_field
from rocketjob.limits import COLLECTION, UNLIMITED, Limit
from rocketjob.store import Filter, Store

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__rocketjob_throttle__"
MAX_RATE = 10_000  # the times of so many starts are kept for each key
PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"\s*(\d+)\s*/\s*(?:(\d+)\s*)?(second|minute|hour|day)s?\s*")


def this_class(job: Job) -> Filter:
    """Hold back all jobs of the job's class."""
    return {"_type": {"$in": [type(job).type_name()]}}


def this_job(job: Job) -> Filter:
    """Hold back the job alone."""
    return {"_id": {"$in": [job.id]}}


@overload
def throttle(function: F) -> F: ...
@overload
def throttle(*, filter: Callable[[Any], Filter] | Filter = ...) -> Callable[[F], F]: ...
def throttle(
    function: Any = None, *, filter: Callable[[Any], Filter] | Filter = this_class
) -> Any:
    """Mark a method that returns True while its jobs are to wait.

    Args:
        filter: what is held back: `this_class`, `this_job`, a Mongo filter, or a function that
            takes the job and returns one.
    """
    if not callable(filter) and not isinstance(filter, Mapping):
        raise TypeError("@throttle: filter must be a Mongo filter, or a function of the job")

    def decorate(marked: F) -> F:
        setattr(marked, MARK, filter)
        return marked

    return decorate if function is None else decorate(function)


@attrs.frozen
class Rate:
    """So many starts in any period of this length."""

    count: int
    period: timedelta

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Parse `100/minute`, `5/second`, `1000/2hours`."""
        found = _RATE.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) < 1 or found[2] == "0":
            raise ConfigurationError(
                f'rate_limit must be such as "100/minute" or "10/5seconds", not {text!r} '
                f"(periods: {', '.join(PERIODS)})"
            )
        count = int(found[1])
        if count > MAX_RATE:
            raise ConfigurationError(
                f"rate_limit {text!r}: at most {MAX_RATE} for a period; choose a shorter period"
            )
        return cls(count, timedelta(seconds=int(found[2] or 1) * PERIODS[found[3]]))


@attrs.frozen(kw_only=True)
class RateLimit(Limit):
    """At most `rate.count` starts in any period, by the times of the last starts."""

    rate: Rate

    def free(self, store: Store, now: datetime) -> int:
        since = now - self.rate.period
        return self.rate.count - sum(start > since for start in self._starts(store))

    def take(self, store: Store, count: int, now: datetime) -> None:
        starts = {"$each": [now] * count, "$slice": -self.rate.count}
        store.collection(COLLECTION).update_one(
            {"_id": self.key}, {"$push": {"starts": starts}}, upsert=True
        )

    def free_at(self, store: Store, now: datetime) -> datetime | None:
        starts = sorted(self._starts(store))[-self.rate.count :]
        return starts[0] + self.rate.period if len(starts) >= self.rate.count else None

    def _starts(self, store: Store) -> list[datetime]:
        stored = store.collection(COLLECTION).find_one({"_id": self.key})
        return list(stored.get("starts", ())) if stored else []

    def describe(self, store: Store, now: datetime) -> str:
        at = self.free_at(store, now)
        return f"at most {self.rate.count} may start in {self.rate.period}; the next at {at}"


class _Waiting(Job, abstract=True):
    """What the two mixins share: why a job waits."""

    cleared_by_claim = ("throttled_by", "throttled_since")

    throttled_by: str | None = read_only_field()
    throttled_since: datetime | None = read_only_field()

    def waiting_note(self, name: str, now: datetime) -> dict[str, Any]:
        return {} if self.throttled_by == name else {"throttled_by": name, "throttled_since": now}


class Throttle(_Waiting, abstract=True):
    """Mixin: see the module."""

    throttle_running_jobs: ClassVar[int | None] = None
    rate_limit: ClassVar[str | None] = None
    throttle_key: ClassVar[Callable[[Any], Any] | None] = None
    __throttles__: ClassVar[dict[str, Callable[[Any], Filter] | Filter]] = {}
    __rate__: ClassVar[Rate | None] = None

    throttle_group: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    throttle_value: Any = read_only_field()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        limit = cls.throttle_running_jobs
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise ConfigurationError(f"{cls.__name__}.throttle_running_jobs must be a number")
        if limit is not None and limit < 0:
            raise ConfigurationError(
                f"{cls.__name__}.throttle_running_jobs must not be negative; 0 or None is no limit"
            )
        cls.__rate__ = None if cls.rate_limit is None else Rate.parse(cls.rate_limit)
        cls.__throttles__ = _marked(cls)

    @classmethod
    def throttles(cls) -> list[str]:
        """Name the methods that hold jobs of this class back, in the order they are asked."""
        return list(cls.__throttles__)

    @classmethod
    def undefine_throttle(cls, name: str) -> None:
        """Take an inherited throttle off this class, and those made from it later.

        Raises:
            ValueError: the class has no throttle of that name.
        """
        if name not in cls.__throttles__:
            known = ", ".join(cls.__throttles__) or "none"
            raise ValueError(f"{cls.__name__} has no throttle {name}; it has {known}")
        cls.__throttles__ = {n: f for n, f in cls.__throttles__.items() if n != name}

    @before("save")
    def _keep_throttle_value(self) -> None:
        if type(self).throttle_key is not None and self.is_queued:
            self.throttle_value = _key_of(self)

    def claim_limits(self) -> list[Limit]:
        limits = super().claim_limits()
        scope = self._throttle_scope()
        key = "/".join(str(value) for value in scope.values())
        blocks = {"_type": type(self).type_name(), **scope}
        if self.throttle_running_jobs:
            limits.append(
                Limit(
                    name="throttle_running_jobs",
                    key=f"running:{key}:{self.throttle_running_jobs}",
                    maximum=self.throttle_running_jobs,
                    counts=self.throttle_counts(scope),
                    blocks=blocks,
                )
            )
        if self.__rate__ is not None:
            limits.append(
                RateLimit(
                    name="rate_limit",
                    key=f"rate:{key}",
                    maximum=self.__rate__.count,
                    counts={},
                    blocks=blocks,
                    rate=self.__rate__,
                )
            )
        return limits

    def throttle_counts(self, scope: Filter) -> Filter:
        """Return which running jobs count for `throttle_running_jobs`."""
        return scope

    def _throttle_scope(self) -> dict[str, Any]:
        if self.throttle_group is not None:
            scope: dict[str, Any] = {"throttle_group": self.throttle_group}
        else:
            scope = {"_type": type(self).type_name()}
        if type(self).throttle_key is not None:
            scope["throttle_value"] = encode_any(self.throttle_value)
        return scope

    def exceeded_throttle(self) -> tuple[str, Filter] | None:
        """Ask the class's own throttles; return the first that says wait, and what it holds back.

        Raises:
            TypeError: one returned neither True nor False.
        """
        for name, filter in type(self).__throttles__.items():
            answer = getattr(self, name)()
            if not isinstance(answer, bool):
                raise TypeError(
                    f"{type(self).__name__}.{name}: a throttle must return True or False, "
                    f"not {answer!r}"
                )
            if answer:
                return name, filter(self) if callable(filter) else filter
        return None


class ThrottleDependentJobs(_Waiting, abstract=True):
    """Mixin: wait while a job of one of `dependent_jobs`, names of classes, is running."""

    dependent_jobs: list[str] = field(default=[], user_editable=True, copy_on_restart=True)

    @classmethod
    def depends_on_job(cls, *classes: type[Job] | str) -> None:
        """Set the class's default of `dependent_jobs`."""
        names = [each if isinstance(each, str) else each.type_name() for each in classes]
        cls.__fields__["dependent_jobs"] = attrs.evolve(
            cls.__fields__["dependent_jobs"], default=names
        )

    def claim_limits(self) -> list[Limit]:
        limits = super().claim_limits()
        if self.dependent_jobs:
            limits.append(
                DependentLimit(
                    name="dependent_jobs",
                    key="dependent:" + ",".join(sorted(self.dependent_jobs)),
                    maximum=0,
                    counts={"_type": {"$in": list(self.dependent_jobs)}},
                    blocks={
                        "_type": type(self).type_name(),
                        "dependent_jobs": list(self.dependent_jobs),
                    },
                )
            )
        return limits

    @validate
    def _dependent_jobs_exist(self) -> None:
        if not self.is_new and self.dependent_jobs == (self._stored or {}).get("dependent_jobs"):
            return
        for name in self.dependent_jobs:
            if lookup(name, Job) is None:
                self.errors.add("dependent_jobs", f"there is no job class {name} loaded here")


@attrs.frozen(kw_only=True)
class DependentLimit(Limit):
    """No place while one of the other jobs runs, else as many as are wanted."""

    def free(self, store: Store, now: datetime) -> int:
        return 0 if super().free(store, now) < 0 else UNLIMITED

    def describe(self, store: Store, now: datetime) -> str:
        return "jobs that it depends on are running: " + super().describe(store, now)


def _marked(cls: type) -> dict[str, Any]:
    """Return the throttles of a class: those of its bases, then its own, in order."""
    found: dict[str, Any] = {}
    for base in cls.__bases__:
        found.update(getattr(base, "__throttles__", {}))
    for name, value in cls.__dict__.items():
        if hasattr(value, MARK):
            parameters = list(inspect.signature(value).parameters)
            if len(parameters) != 1:
                raise ConfigurationError(
                    f"{cls.__qualname__}.{name}: a throttle takes nothing but self"
                )
            found[name] = getattr(value, MARK)
    return found


def _key_of(job: Throttle) -> Any:
    function = inspect.getattr_static(type(job), "throttle_key")
    function = function.__func__ if isinstance(function, staticmethod) else function
    return functools.partial(function, job)()


@hookimpl
def veto_claim(job: Job) -> tuple[str, Filter] | None:
    return job.exceeded_throttle() if isinstance(job, Throttle) else None


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Throttle, ThrottleDependentJobs]
