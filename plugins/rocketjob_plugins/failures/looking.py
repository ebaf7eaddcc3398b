"""Which failures there are: the failed jobs, and the failed slices of batch jobs, the newest first.

However many there are, a look ends soon: it goes through the newest jobs, and says so if there are
more. What was read of the slices of a job that has ended is kept for the next look.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from datetime import datetime
from typing import Any, NamedTuple

import attrs

from rocketjob import Job
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.text import counted
from rocketjob.queue.dispatch import ORDER
from rocketjob.store import Stored
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.settings import are_away
from rocketjob_plugins.batch.slices import InputSlices
from rocketjob_plugins.failures.pattern import READ

MOST = 5_000  # failed jobs that are looked at, the newest
MOST_OPEN = 200  # batch jobs that run, or are paused, whose slices are looked at
MOST_SLICES = 500  # failed slices of one job
MOST_IN_ALL = 20_000  # failed slices of all jobs
SECONDS = 0.3  # after which no further jobs, and no further slices, are read
LEAST = 50, 10  # jobs, and jobs whose slices are read, however long that takes
KEPT = "failures.slices"  # in the memory of whoever looks again and again
FIELDS = dict.fromkeys(
    ("_type", "completed_at", "sub_state", "exception.class_name", "exception.message"), 1
)
OF_SLICE = dict.fromkeys(("failed_at", "exception.class_name", "exception.message"), 1)
UNKNOWN = "unknown"  # stands for an exception without a class


class Failure(NamedTuple):
    """A job that has failed, or a slice.

    Attributes:
        job_id: of the job.
        name: of its class, as it is stored.
        error: the class of the exception.
        message: of the exception; of a very long one the beginning.
        at: when it failed; None where that is not known.
        slice: the id of the slice; None: the job itself.
        ended: when the job failed; None: it still runs, or is paused.
    """

    job_id: Any
    name: str
    error: str
    message: str
    at: datetime | None
    slice: int | None
    ended: datetime | None


@attrs.frozen
class Failures:
    """What was seen in one look.

    Attributes:
        at: when.
        all: the newest first; those whose time is not known come last.
        remarks: what was not looked at, as sentences for people; none if that is all there is.
        more: whether there are more failed jobs than were looked at.
        away: whether the store of slices could not be reached.
        partial: the ids of batch jobs of whose failed slices not all were looked at.
    """

    at: datetime
    all: tuple[Failure, ...] = ()
    remarks: tuple[str, ...] = ()
    more: bool = False
    away: bool = False
    partial: frozenset[Any] = attrs.field(default=frozenset(), repr=False)

    @property
    def is_partial(self) -> bool:
        return bool(self.remarks)


def look(
    memory: MutableMapping[str, Any] | None = None, *, seconds: float | None = SECONDS
) -> Failures:
    """Return the failures that there are now.

    Args:
        memory: of one who looks again and again: slices of jobs that have ended are read once.
        seconds: for how long at most; None: as long as it takes for all that is looked at.

    Raises:
        Exception: the store cannot be reached.
    """
    return _Look({} if memory is None else memory, seconds).made()


class _Look:
    def __init__(self, memory: MutableMapping[str, Any], seconds: float | None) -> None:
        self._kept: dict[Any, tuple[Any, list[Failure], bool]] = memory.setdefault(KEPT, {})
        self._until = None if seconds is None else time.monotonic() + seconds
        self._unread = self._cut = self._in_all = self._read_of = 0
        self._away, self._partial = False, set[Any]()

    def made(self) -> Failures:
        at, (ended, more), open_jobs = clock.now(), self._ended(), self._open()
        self._forget_all_but({stored["_id"] for stored in (*ended, *open_jobs)})
        found = [failure for stored in ended for failure in self._of_ended(stored)]
        found += [failure for stored in open_jobs for failure in self._slices(stored, None)]
        found.sort(key=lambda each: each.at.timestamp() if each.at else 0.0, reverse=True)
        remarks = tuple(self._remarks(len(ended), more, len(open_jobs)))
        return Failures(at, tuple(found), remarks, more, self._away, frozenset(self._partial))

    def _ended(self) -> tuple[list[Stored], bool]:
        """Return the newest failed jobs, and whether there are more."""
        filter = {"state": "failed", "completed_at": {"$exists": True}}
        order, found = [("completed_at", -1), ("_id", -1)], list[Stored]()
        for stored in Job.collection().find(filter, FIELDS, sort=order, limit=MOST + 1):
            if len(found) == MOST or (len(found) >= LEAST[0] and self._is_late()):
                return found, True
            found.append(stored)
        return found, False

    def _open(self) -> list[Stored]:
        filter = {"sub_state": "processing", "state": {"$in": ["running", "paused"]}}
        fields = {"_type": 1, "sub_state": 1}
        return list(Job.collection().find(filter, fields, sort=ORDER, limit=MOST_OPEN))

    def _is_late(self) -> bool:
        return self._until is not None and time.monotonic() > self._until

    def _forget_all_but(self, ids: set[Any]) -> None:
        for id in self._kept.keys() - ids:
            del self._kept[id]

    def _of_ended(self, stored: Stored) -> list[Failure]:
        """Return the failed slices of a job; where there are none, its own failure."""
        ended, own = _time(stored.get("completed_at")), _exception(stored)
        found = self._slices(stored, ended) if stored.get("sub_state") == "processing" else []
        if found:
            return found
        return [Failure(stored["_id"], _name(stored), *own, ended, None, ended)]

    def _slices(self, job: Stored, ended: datetime | None) -> list[Failure]:
        """Return the failed slices of a job, or what was known of them before."""
        known_for, known, is_cut = self._kept.get(job["_id"], (None, [], False))
        if ended is None or known_for != ended:
            late = self._read_of >= LEAST[1] and self._is_late()
            if self._away or late or self._in_all >= MOST_IN_ALL:
                self._unread += 1
                self._partial.add(job["_id"])
            else:
                known, is_cut = self._read_anew(job, ended)
        if is_cut:
            self._cut += 1
            self._partial.add(job["_id"])
        self._in_all += len(known)
        return known

    def _read_anew(self, job: Stored, ended: datetime | None) -> tuple[list[Failure], bool]:
        """Return the failed slices of a job, and whether there are more than these."""
        self._read_of += 1
        try:
            found = list(failed_slices(job, ended, MOST_SLICES + 1))
        except Exception as error:
            if not are_away(error) or current().store.is_transient(error):
                raise
            self._away = True
            self._partial.add(job["_id"])
            return [], False
        is_cut = len(found) > MOST_SLICES
        self._kept[job["_id"]] = ended, found[:MOST_SLICES], is_cut
        return found[:MOST_SLICES], is_cut

    def _remarks(self, ended: int, more: bool, open_jobs: int) -> Iterator[str]:
        if more:
            yield f"Only the newest {ended:,} failed jobs were looked at: there are more."
        if open_jobs == MOST_OPEN:
            yield f"Of the batch jobs in work only the {MOST_OPEN:,} most urgent were looked at."
        if self._cut:
            yield f"Of jobs with more failed slices only {MOST_SLICES:,} each were looked at."
        if self._away:
            yield "The store of slices cannot be reached: failed slices are not among these."
        elif self._unread:
            jobs = counted(self._unread, "batch job")
            yield f"The slices of {jobs} have not been looked at yet."


def failed_slices(job: Stored, ended: datetime | None, limit: int) -> Iterator[Failure]:
    """Return failed slices of a batch job as they are now.

    Args:
        job: as it is stored, with its `_id` and `_type`.
        ended: when it failed; None: it still runs, or is paused.
        limit: how many at most.
    """
    slices = InputSlices(job["_id"], InputCategory()).collection
    for stored in slices.find({"state": "failed"}, OF_SLICE, limit=limit):
        at = _time(stored.get("failed_at")) or ended
        own = _exception(stored)
        yield Failure(job["_id"], _name(job), *own, at, stored["_id"], ended)


def _time(value: Any) -> datetime | None:
    """Return a time; what something else has written there is none."""
    return value if isinstance(value, datetime) else None


def _name(stored: Stored) -> str:
    return str(stored.get("_type") or "Job")


def _exception(stored: Stored) -> tuple[str, str]:
    """Return the class and the message of the exception that a job or slice has."""
    error = stored.get("exception")
    error = error if isinstance(error, dict) else {}
    name, message = error.get("class_name"), error.get("message")
    return (
        name if isinstance(name, str) and name else UNKNOWN,
        ("" if message is None else str(message))[:READ],
    )
