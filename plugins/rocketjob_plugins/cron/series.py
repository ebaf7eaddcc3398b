"""Every series of runs in the store: when it runs next, what became of its last runs, what is late.

For whatever shows schedules: the command `rocketjob schedule`, and pages. It reads what is stored,
so that series of classes that are not loaded here are there too, and none keeps the others back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo

import attrs

from rocketjob import Job
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.jobs.state_names import known_states
from rocketjob.model.types import plain_datetime
from rocketjob.store import Filter, Stored
from rocketjob.store.indexes import unique_while
from rocketjob_plugins.cron.job import ACTIVE, INDEX, RUNS
from rocketjob_plugins.cron.schedule import CronError, CronSchedule
from rocketjob_plugins.cron.settings import TIME_ZONE
from rocketjob_plugins.cron.signs import LATE

MOST = 1000  # series that are shown
LOOKED_AT = 2000  # jobs without a key, of which most are of no series
MISSED = 100  # missed runs that are counted at most
FIELDS = dict.fromkeys(
    (
        *("_id", "_type", "state", "description", "login", "created_at", "started_at", "run_at"),
        *("worker_name", "cron_schedule", "cron_dst", "schedule_name", "occurrence", RUNS),
    ),
    1,
)
"""What is read of each: a `DirmonJob` alone may have megabytes of file names besides."""
_FIRST_KEY = "0"  # every key is more than that: it begins with the name of a class
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _utc(at: datetime) -> datetime:
    """Return a plain datetime: arithmetic with pendulum's is many times slower."""
    plain: datetime = plain_datetime(clock.to_utc(at))
    return plain


@attrs.frozen(kw_only=True)
class Run:
    """One run of a series that has ended.

    Attributes:
        id: of its job, which may be gone.
        state: `completed`, `failed` or `aborted`.
        occurrence: when it was due.
        seconds: how long it took; None if it was not started.
    """

    id: Any
    state: str
    occurrence: datetime | None
    ended_at: datetime
    seconds: float | None

    @classmethod
    def load(cls, stored: Any) -> Run | None:
        """Return a run as it is stored; None for what something else has written there."""
        if not isinstance(stored, Mapping):
            return None
        ended, started = stored.get("ended_at"), stored.get("started_at")
        due, state = stored.get("occurrence"), stored.get("state")
        if not isinstance(ended, datetime) or not isinstance(state, str):
            return None
        took = (ended - started).total_seconds() if isinstance(started, datetime) else None
        return cls(
            id=stored.get("id"),
            state=state,
            occurrence=_utc(due) if isinstance(due, datetime) else None,
            ended_at=_utc(ended),
            seconds=None if took is None else max(0.0, took),
        )


@attrs.frozen(kw_only=True)
class Series:
    """One series of runs, by its instance that waits, runs or is paused.

    Attributes:
        stored: the document of that instance, as far as it was read.
        schedule: when it runs; None if what is stored is no schedule.
        problem: why it is none.
        runs: the last ones, the latest last.
        now: when it was looked at.
    """

    stored: Stored
    schedule: CronSchedule | None
    problem: str | None
    runs: list[Run]
    now: datetime

    @property
    def class_name(self) -> str:
        return str(self.stored.get("_type"))

    @property
    def name(self) -> str | None:
        """What tells it from others of its class: its name in code, or else its description."""
        for key in ("schedule_name", "description"):
            if isinstance(text := self.stored.get(key), str) and text != self.class_name:
                return text
        return None

    @property
    def expression(self) -> str:
        return str(self.stored.get("cron_schedule"))

    @property
    def words(self) -> str:
        return self.problem or "" if self.schedule is None else self.schedule.describe()

    @property
    def zone(self) -> ZoneInfo | None:
        return None if self.schedule is None else ZoneInfo(self.schedule.time_zone)

    @property
    def state(self) -> str:
        return str(self.stored.get("state"))

    @property
    def is_paused(self) -> bool:
        return self.state == "paused"

    @property
    def run_at(self) -> datetime | None:
        """When its instance is to run, or was."""
        run_at = self.stored.get("run_at")
        return _utc(run_at) if isinstance(run_at, datetime) else None

    @property
    def overdue(self) -> timedelta | None:
        """For how long its run should have started already; None if it is not late."""
        if self.state != "queued" or self.run_at is None or self.now - self.run_at < LATE:
            return None
        return self.now - self.run_at

    @property
    def last(self) -> Run | None:
        return self.runs[-1] if self.runs else None

    @property
    def usual_seconds(self) -> float | None:
        """How long a run takes: the median of the last ones that completed."""
        took = [each.seconds for each in self.runs if each.state == "completed"]
        known = [seconds for seconds in took if seconds is not None]
        return median(known) if known else None

    def upcoming(self) -> Iterator[datetime]:
        """Yield when it runs, or would if it were not paused, the next first; without an end.

        A run that is due already is not among them.
        """
        after = self.now
        if self.state != "running" and self.run_at is not None and self.run_at > self.now:
            yield self.run_at
            after = self.run_at
        if self.schedule is not None:
            try:
                yield from map(_utc, self.schedule.times_after(after))
            except CronError:  # it does not run within 60 years
                return

    def next_times(self, count: int) -> list[datetime]:
        """Return when it runs next."""
        return list(islice(self.upcoming(), count))

    def missed(self) -> int:
        """Return how many occurrences have had no run, since the last one; `MISSED` at most.

        A series makes up for an outage, or for a run that was longer than its period, by one run.
        """
        if self.schedule is None or self.run_at is None:
            return 0
        if self.overdue is not None:
            return self._between(self.run_at, self.now)
        due = self.stored.get("occurrence")
        last = self.last.occurrence if self.last else None
        if last is None or not isinstance(due, datetime):
            return 0
        return self._between(last, _utc(due) - timedelta(seconds=1))

    def _between(self, after: datetime, until: datetime) -> int:
        assert self.schedule is not None
        count = 0
        try:
            for at in self.schedule.times_after(after):
                if at > until or count == MISSED:
                    break
                count += 1
        except CronError:
            pass
        return count


@attrs.frozen
class Found:
    """The series of a store.

    Attributes:
        is_all: whether there may be no others.
        now: when they were looked at.
    """

    series: list[Series]
    is_all: bool
    now: datetime


def all_series(now: datetime | None = None) -> Found:
    """Return every series of the store, the one that runs next first.

    It takes three calls of the store, which an index serves. Instances that have no key, as those
    of the Ruby version, are looked for among the jobs that are scheduled next.

    Args:
        now: None: by the clock.
    """
    at, found = _utc(now or clock.now()), dict[Any, Stored]()
    keyed, unkeyed = _keyed(), [_scheduled(), _others()]
    is_all = len(keyed) <= MOST and all(len(each) <= LOOKED_AT for each in unkeyed)
    for stored in (*keyed, *(each for part in unkeyed for each in part)):
        if stored.get("cron_schedule") and stored.get("state") in ACTIVE:
            found.setdefault(stored["_id"], stored)
    series = [_series(stored, at) for stored in found.values()]
    series.sort(key=lambda each: (each.run_at or at, each.class_name, each.expression))
    return Found(series[:MOST], is_all and len(series) <= MOST, at)


def _keyed() -> list[Stored]:
    """Return jobs that have a key, by a filter that the small index of keys serves."""
    index = unique_while(INDEX, ACTIVE, known_states(Job))
    return _find({**index["partialFilterExpression"], INDEX: {"$gt": _FIRST_KEY}}, None, MOST)


def _scheduled() -> list[Stored]:
    """Return jobs that wait for their time and have no key: the next ones."""
    return _find({"state": "queued", "run_at": {"$gt": _LONG_AGO}}, [("run_at", 1)], LOOKED_AT)


def _others() -> list[Stored]:
    return _find({"state": {"$in": ["paused", "running"]}}, None, LOOKED_AT)


def _find(wanted: Filter, order: list[tuple[str, int]] | None, most: int) -> list[Stored]:
    """Return documents in an order, one more than `most` if there are more."""
    jobs = Job.collection()
    return list(jobs.find(wanted, FIELDS, sort=order, limit=most + 1))


def _series(stored: Stored, now: datetime) -> Series:
    schedule, problem = None, None
    try:
        schedule = schedule_of(stored)
    except (CronError, TypeError) as error:
        problem = error.why if isinstance(error, CronError) else str(error)
    kept = stored.get(RUNS)
    runs = [run for each in (kept if isinstance(kept, list) else ()) if (run := Run.load(each))]
    return Series(stored=stored, schedule=schedule, problem=problem, runs=runs, now=now)


def schedule_of(stored: Mapping[str, Any]) -> CronSchedule:
    """Return the schedule of a stored job.

    Raises:
        CronError, TypeError: what is stored is none.
    """
    expression, dst = stored.get("cron_schedule"), stored.get("cron_dst")
    if not isinstance(expression, str):
        raise TypeError("the schedule must be a string")
    chosen: Literal["safe", "literal"] = "literal" if dst == "literal" else "safe"
    return CronSchedule(expression, dst=chosen, time_zone=TIME_ZONE.of(current().config))
