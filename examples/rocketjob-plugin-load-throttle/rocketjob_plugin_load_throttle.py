"""Hold jobs back while the machine is busy, or the replica of a database lags behind.

    class ResizeJob(LoadThrottle, Job): ...

    class ImportJob(ReplicaThrottle, Job):
        replica_lag = Probe(seconds_behind)

Fields: `max_load` for each core, `max_replica_lag` in seconds: editable, the defaults are settings.
"""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

from rocketjob import Clause, Job, field, hookimpl, now, validators
from rocketjob.application import current
from rocketjob.base.config import Config
from rocketjob.base.settings import Setting
from rocketjob_plugins.throttle import Throttle, throttle

TABLE = "load_throttle"
MAX_LOAD = Setting("max_load", 0.8, float, "load for each core above which jobs wait", table=TABLE)
MAX_REPLICA_LAG = Setting(
    "max_replica_lag", 300.0, float, "seconds of lag above which jobs wait", table=TABLE
)

MAX_SERVER_LOAD = Setting(
    "max_server_load", 0.0, float, "load above which a server takes urgent jobs only", table=TABLE
)
URGENT = 10  # the priority of those


class Probe:
    """A number that is measured at most every so many seconds, whichever thread asks.

    Args:
        measure: returns the number; what it raises holds the job back that was asked about.
        seconds: for which a value is kept.
    """

    def __init__(self, measure: Callable[[], float], seconds: float = 5.0) -> None:
        self._measure, self._seconds = measure, timedelta(seconds=seconds)
        self._value = 0.0
        self._at: Any = None  # when it was measured
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:  # the others wait for the value rather than ask as well
            age = None if self._at is None else now() - self._at
            if age is None or not timedelta(0) <= age < self._seconds:
                self._value, self._at = self._measure(), now()
            return self._value


def load_of_each_core() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def names_below(cls: type[Job]) -> Iterator[str]:
    """Yield the names of all classes that use a mixin."""
    for child in cls.__subclasses__():
        yield child.type_name()
        yield from names_below(child)


def no_more_patient(job: Any) -> dict[str, Any]:
    """Return a filter of the jobs that bear no more load than the one that was asked about."""
    names = sorted(set(names_below(LoadThrottle)))
    return {"_type": {"$in": names}, "max_load": {"$lte": job.max_load}}


class LoadThrottle(Throttle, Job, abstract=True):
    """Jobs that wait while the machine has too much to do."""

    load: ClassVar[Callable[[], float]] = Probe(load_of_each_core)
    max_load: float = field(
        factory=lambda: MAX_LOAD.of(current().config),
        validator=validators.in_range(0, 1000),
        user_editable=True,
        copy_on_restart=True,
        description="load for each core above which it waits",
    )

    @throttle(filter=no_more_patient)
    def load_is_too_high(self) -> str | None:
        load = type(self).load()
        return f"load {load:.1f} > {self.max_load:g}" if load > self.max_load else None


class ReplicaThrottle(Throttle, Job, abstract=True):
    """Jobs that wait while a replica lags behind."""

    __example__: ClassVar[dict[str, Any]] = {"replica_lag": staticmethod(lambda: 0.0)}

    replica_lag: ClassVar[Callable[[], float]]
    max_replica_lag: float = field(
        factory=lambda: MAX_REPLICA_LAG.of(current().config),
        validator=validators.in_range(0, 1_000_000),
        user_editable=True,
        copy_on_restart=True,
        description="seconds of lag above which it waits",
    )

    @throttle
    def replica_lags(self) -> str | None:
        lag, most = type(self).replica_lag(), self.max_replica_lag
        return f"the replica is {lag:.0f} s behind, more than {most:g}" if lag > most else None


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [LoadThrottle, ReplicaThrottle]


@hookimpl
def claim_clauses(config: Config) -> list[Clause]:
    """Leave all but urgent jobs to other servers while this one has too much to do."""
    most, load = MAX_SERVER_LOAD.of(config), LoadThrottle.load()
    if not most or load <= most:
        return []
    text = f"load {load:.1f} > {most:g}, so it takes only jobs of priority 1 to {URGENT}"
    return [Clause("server_load", text, {"priority": {"$lte": URGENT}})]


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [MAX_LOAD, MAX_REPLICA_LAG, MAX_SERVER_LOAD]
