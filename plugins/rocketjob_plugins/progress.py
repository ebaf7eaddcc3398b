"""Show how far a job is while it runs.

    class ImportOrders(Progress, Job):
        def perform(self):
            for number, order in enumerate(orders, 1):
                ...
                self.progress(number, len(orders), "importing")

`progress` can be called as often as you like: it takes a fraction of a microsecond, and the last
call is written about once a second, by one thread for all jobs of a process. So it is seen within
two seconds in `rocketjob jobs`, on the pages of jobs, and in `percent_complete`, without a save;
and the job is neither slowed nor failed by a store that is slow or away. A coroutine may call it,
too: it never waits.

Fields: `reported` (`done`, `total`, `note` and `at` of the last call). The kernel's
`percent_complete` and `progress_text` follow it. A new attempt begins without.

What is written is these three fields and nothing else, and only while the job is running under the
claim of this worker. Whatever stores the job anyway, as its failure does, has the last call in it.
"""

from __future__ import annotations

import os
import threading
from typing import Any, ClassVar

from rocketjob import Job, before, hookimpl
from rocketjob.base import clock, later
from rocketjob.base.log import Logger
from rocketjob.base.passwords import brief
from rocketjob.jobs.claims import claim_of
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.performing import threads_only
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import record_of
from rocketjob.model.types import plain_datetime

SECONDS = 1.0  # between two writes
LARGEST = 2**63 - 1  # of BSON
NOTE = 200  # characters that are kept
Said = tuple[Any, Any, Any]

log = Logger("rocketjob.progress")


class Progress(Job, abstract=True):
    """Mixin: see the module."""

    keeps_progress: ClassVar[bool] = False
    """Whether a new attempt goes on where the last one was."""

    reported: dict[str, Any] | None = read_only_field()

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far the job is.

        Args:
            done: how much has been done, in any unit; not negative.
            total: how much there is, at least `done`; None if that is not known.
            note: what it is at, in a few words; 200 characters are kept.

        Raises:
            TypeError: they are not numbers, or the note is not a string.
            ValueError: `done` is negative, more than `total`, not finite or too large.
            RuntimeError: the job is performed in parts, which count themselves.
        """
        if not (
            type(done) is int
            and type(total) is int
            and 0 <= done <= total <= LARGEST
            and (note is None or type(note) is str)
        ):
            done, total = check(done, total, note)
        try:
            report: Report = self.__dict__["_report"]
        except KeyError:
            report = self._begin_report()
        report.latest = (done, total, note)
        if not report.is_due:
            report.wake()

    @threads_only  # the first call of `progress` begins; what comes after the end is not written
    def work(self, worker: Any) -> None:
        if not self.is_performed_at_once():
            return super().work(worker)
        report = self._begin_report()
        try:
            super().work(worker)
        finally:
            report.close()

    def progress_now(self) -> str | None:
        report: Report | None = self.__dict__.get("_report")
        if report is None or report.latest is None:
            return super().progress_now()
        return str(values_of_report(report.latest)["progress_text"])

    def bring_back(self) -> None:
        super().bring_back()
        report: Report | None = self.__dict__.get("_report")
        if report is not None:
            report.close()
            report.put_on(self)

    def _begin_report(self) -> Report:
        if not self.is_performed_at_once():
            raise RuntimeError(
                f"{type(self).__name__} is performed in parts: its progress is counted by these, "
                "and cannot be said"
            )
        report = self.__dict__["_report"] = Report(self)
        return report

    @before("start")
    def _begin_without_progress(self) -> None:
        if not self.keeps_progress and self.reported is not None:
            self._forget_progress()

    def _forget_progress(self) -> None:
        self.reported, self.progress_text, self.percent_complete = None, None, 0

    @before("save")
    def _store_progress(self) -> None:
        report: Report | None = self.__dict__.get("_report")
        if report is not None:
            report.put_on(self)


class Report:
    """What one job has said, and the writing of it while a worker performs the job.

    Attributes:
        latest: what was said last.
        is_due: whether a write of it is under way, or not wanted; else `wake` is to be called.
    """

    def __init__(self, job: Progress) -> None:
        self._failed = False
        self.latest: Said | None = None
        self.is_due = self._is_closed = claim_of(job) is None
        self._name, self._collection = repr(job), job.collection()
        self._filter = {**job.write_guard(), "state": "running"}
        self._written_at = 0.0
        self._sent: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def wake(self) -> None:
        """Have what was said last written, as soon as a second has passed since the last write."""
        with self._lock:
            if self.is_due or os.getpid() != self._process:  # a fork must not use the connection
                return
            self.is_due = True
            delay = max(0.0, self._written_at + SECONDS - clock.monotonic())
        later.call(delay, self._write)

    def close(self) -> None:
        """Write nothing more: what stores the end of the job has what was said last."""
        with self._lock:
            self._is_closed = self.is_due = True

    def put_on(self, job: Progress) -> None:
        """Have what was said last stored with the next write of the job, which is under way."""
        if self.latest is None:
            return
        if sent := self._sent:  # it is in the store, whatever this object holds
            record_of(job).written_apart(sent)
        values = values_of_report(self.latest)
        job.reported, job.progress_text = values["reported"], values["progress_text"]
        if "percent_complete" in values and not job.is_completed:
            job.percent_complete = values["percent_complete"]

    def _write(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._written_at, self.is_due = clock.monotonic(), False
        # In this order: whoever says something after it was read here wakes this again.
        values = values_of_report(self.latest)  # type: ignore[arg-type]
        try:
            result = self._collection.update_one(self._filter, {"$set": values})
        except Exception as error:
            if not self._is_closed and not self._failed:  # said once, tried again every second
                log.warning("progress was not written", job=self._name, error=message_of(error))
            self._failed = True
            return self.wake()
        self._sent, self._failed = values, False
        if not result.matched_count:  # somebody else has the job now
            self.close()


def values_of_report(said: Said) -> dict[str, Any]:
    """Return what is stored of it, by key."""
    done, total, note = said
    note = brief(note, NOTE) if note else None
    reported = {"done": done, "total": total, "note": note, "at": plain_datetime(clock.now())}
    values: dict[str, Any] = {"reported": {k: v for k, v in reported.items() if v is not None}}
    text = _number(done) if total is None else f"{_number(done)} of {_number(total)}"
    values["progress_text"] = f"{text}, {note}" if note else text
    if total is not None:
        values["percent_complete"] = 100 if done == total else min(99, int(done / total * 100))
    return values


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def check(done: Any, total: Any, note: Any) -> tuple[float, float | None]:
    """Return numbers that can be a progress, as they are stored.

    Raises:
        TypeError, ValueError: see `Progress.progress`.
    """
    if note is not None and not isinstance(note, str):
        raise TypeError(f"progress: the note must be a string, not {note!r}")
    done = _checked("done", done)
    total = None if total is None else _checked("total", total)
    if total is not None and done > total:
        raise ValueError(f"progress: done ({done!r}) is more than total ({total!r})")
    return done, total


def _checked(name: str, value: Any) -> float:
    import numbers  # numpy's, too, are these

    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"progress: {name} must be a number, not {value!r}")
    number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if not 0 <= number <= LARGEST:  # NaN is not, either
        raise ValueError(f"progress: {name} must be from 0 to {LARGEST}, not {value!r}")
    return number


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Progress]
