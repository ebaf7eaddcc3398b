"""Slices that hold a batch job up: those in work for longest, and those that fail repeatedly."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.store import Stored
from rocketjob_plugins.batch.slice_map import NUMBERS

SHOWN = 5
LOOKED_AT = 500  # slices in a state that are read; those with the lowest numbers
OFTEN = 2  # failures
READ = ("state", "size", "started_at", "worker_name", "failure_count", "exception")


@attrs.frozen(kw_only=True)
class Found:
    """A slice, without its records.

    Attributes:
        first, last: the numbers of its records.
        since: since when its worker has it.
        failures: how often it has failed.
        error: the class and message of the last exception.
    """

    first: int
    last: int
    state: str
    worker_name: str | None = None
    since: datetime | None = None
    failures: int = 0
    error: tuple[str, str] | None = None

    @property
    def seconds(self) -> float:
        """How long its worker has had it."""
        if self.since is None:
            return 0.0
        return max(0.0, clock.now().timestamp() - self.since.timestamp())


@attrs.frozen(kw_only=True)
class Stragglers:
    """The slices that hold a job up.

    Attributes:
        slowest: in work, the longest first.
        failing: that have failed more than once, the most often first; those that failed or are in
            work, as a retry leaves no trace by which others could be found quickly.
    """

    slowest: tuple[Found, ...]
    failing: tuple[Found, ...]

    def __bool__(self) -> bool:
        return bool(self.slowest or self.failing)


def of(job: Any, limit: int = SHOWN) -> Stragglers:
    """Return the slices that hold a batch job up.

    Raises:
        Exception: the store of the slices is away: see `present.unseen`.
    """
    running, failed = (_in(job, state) for state in ("running", "failed"))
    now = clock.now()
    slowest = sorted(running, key=lambda found: (found.since or now, found.first))
    failing = [found for found in (*running, *failed) if found.failures >= OFTEN]
    failing.sort(key=lambda found: (-found.failures, found.first))
    return Stragglers(slowest=tuple(slowest[:limit]), failing=tuple(failing[:limit]))


def beginning_in(job: Any, first: int, last: int, limit: int) -> list[Found]:
    """Return the slices that begin with one of some records."""
    return _read(job, {"_id": {"$gte": first, "$lte": last}}, limit)


def _in(job: Any, state: str) -> list[Found]:
    return _read(job, {"state": state, "_id": NUMBERS}, LOOKED_AT)


def _read(job: Any, filter: dict[str, Any], limit: int) -> list[Found]:
    wanted = dict.fromkeys(READ, 1)
    stored = job.input.collection.find(filter, wanted, sort=[("_id", 1)], limit=limit)
    return [_found(each) for each in stored]


def _found(stored: Stored) -> Found:
    """Return what is known of a slice, whatever something else has written into it."""
    first, size = int(stored["_id"]), stored.get("size")
    worker, since = stored.get("worker_name"), stored.get("started_at")
    failures, error = stored.get("failure_count"), stored.get("exception")
    is_running = stored.get("state") == "running"
    return Found(
        first=first,
        last=first + max(size if isinstance(size, int) else 1, 1) - 1,
        state=str(stored.get("state")),
        worker_name=worker if is_running and isinstance(worker, str) else None,
        since=since if is_running and isinstance(since, datetime) else None,
        failures=failures if isinstance(failures, int) else 0,
        error=_error(error) if isinstance(error, dict) else None,
    )


def _error(stored: dict[str, Any]) -> tuple[str, str]:
    return str(stored.get("class_name") or "unknown"), str(stored.get("message") or "")
