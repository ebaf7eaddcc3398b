"""Perform the records of one slice: what becomes of them is an `Outcome`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.errors import JobTimeout, WorkerCrashed
from rocketjob.jobs import holds
from rocketjob.jobs.exception import JobException, message_of
from rocketjob.jobs.performance import performance_of
from rocketjob.model.record import values_of
from rocketjob.worker import async_loop
from rocketjob.worker.crashes import OwnProcessEnded
from rocketjob.worker.isolated import Isolated, without_backtrace
from rocketjob.worker.runner import watched
from rocketjob_plugins.batch.class_body import held_back_by
from rocketjob_plugins.batch.io.tables import BLANK
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.outcome.render import Outcome
from rocketjob_plugins.batch.slice import EXCEPTION, RELEASED, Slice
from rocketjob_plugins.batch.slices import claim_guard
from rocketjob_plugins.batch.statistics import Statistics
from rocketjob_plugins.batch.work.interruption import Interruption

if TYPE_CHECKING:
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.model import BatchModel

__tracebackhide__ = True  # a record's error is shown from the job's own code on
PLAIN = frozenset((str, dict, list, int, float, bool, bytes))  # what perform mostly returns


@attrs.define(eq=False)
class SlicePerformer:
    """Performs slices of one batch job, one at a time."""

    job: BatchModel
    worker: Worker
    _interruption: Interruption
    _perform: Callable[[Any], Any] = attrs.field(init=False)
    _own: Isolated | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        call = self._isolated if self._is_isolated() else _plain_call(self.job)
        self._perform = _in_chain(self.job, call)

    def _is_isolated(self) -> bool:
        return self.job.isolation is not None and self.worker.isolates

    def _isolated(self, record: Any) -> Any:
        """Perform a record in the process that this worker has for the job."""
        if self._own is None:
            self._own = Isolated(self.job, self.worker.name)
        return self._own.perform([record], {}, {"record_number": self.job.record_number})

    def end(self) -> None:
        """End the process, if there is one."""
        if self._own is not None:
            self._own.end()

    def work_on(self, slice_: Slice) -> Outcome:
        """Perform a slice, or as much of it as may be; whatever goes wrong is in the outcome."""
        return self._deferred(slice_) or self.process(slice_)

    def _deferred(self, slice_: Slice) -> Outcome | None:
        """Ask the batch throttles; a slice that is to wait is released."""
        job = self.job
        for name in type(job).__batch_throttles__:
            try:
                text = held_back_by(job, name, slice_)
                if text is None:
                    continue
            except BaseException as error:  # whatever an app's code raises
                if self.worker.queue is None:  # nobody would ask it again
                    return self._failed(slice_, error)
                problem = f"{type(error).__name__}: {message_of(error)}"
                job.logger.exception("deferred: the throttle failed", throttle=name, error=problem)
                text = f"the batch throttle {name} fails: {problem}"
            job.logger.debug("slices deferred", by=name, text=text)
            self._note(name, text)
            leave_alone(job, self.worker, name)
            self._interruption.happened = True
            return Outcome.untouched(slice_, job)
        if job.throttled_by is not None and type(job).__batch_throttles__:
            holds.clear(job)
        return None

    def _note(self, name: str, text: str) -> None:
        """Store on the job what holds its slices back."""
        job, stored = self.job, {key: getattr(self.job, key) for key in holds.KEYS}
        note = holds.note(stored, name, text, clock.now())
        if note and self.worker.queue is not None:
            job.collection().update_one(job.write_guard(), {"$set": note})

    def _failed(self, slice_: Slice, error: BaseException) -> Outcome:
        outcome = Outcome(slice_, self.job)
        outcome.fail(error)
        self._log_failure(slice_, error)
        return outcome

    def process(self, slice_: Slice) -> Outcome:
        """Perform a slice, whatever its throttles say."""
        job = self.job
        outcome, began = Outcome(slice_, job), time.monotonic()
        job.current_slice = slice_
        try:
            watched(
                job,
                self.worker,
                lambda: self._in_callbacks(slice_, outcome),
                slice_.id,
                lambda error: give_up(job, slice_, error),
            )
            outcome.seal()
        except BaseException as error:
            if error is performance_of(job).asked and not isinstance(error, JobTimeout):
                self._interruption.happened = True  # a callback of the slice has asked
                outcome = outcome.given_back()
            else:
                outcome.fail(error)
                self._log_failure(slice_, outcome.error or error)
        finally:
            job.current_slice = None
        outcome.seconds = time.monotonic() - began
        return outcome

    def _in_callbacks(self, slice_: Slice, outcome: Outcome) -> int:
        self.job.chain("slice").run(self.job, lambda: self._perform_records(slice_, outcome))
        return outcome.index - outcome.start

    def _log_failure(self, slice_: Slice, error: BaseException) -> None:
        if not self.worker.inline:
            self.job.logger.error(
                "slice failed",
                slice=slice_.id,
                record_number=slice_.current_record_number,
                error=f"{type(error).__name__}: {message_of(error)}",
            )

    def _perform_records(self, slice_: Slice, outcome: Outcome) -> None:
        job = self.job
        if not job.is_running:
            outcome.release_at(outcome.start)
            return
        perform, records = self._perform, outcome.parse(slice_.records)
        # This is what every record passes through: names are local, the usual way is short.
        values, number, take, keep = values_of(job), slice_.id, outcome.take, outcome.plain_append()
        plain = frozenset[type]() if keep is None or isinstance(job, Statistics) else PLAIN
        append, mark = keep or (None, None)
        interruption, monotonic = self._interruption, time.monotonic
        performance, look_at = performance_of(job), interruption.look_at()
        if performance.until is not None:
            look_at = 0.0  # the clock is asked at each record
        index = outcome.start
        try:
            for index in range(outcome.start, len(records)):
                values["record_number"] = number + index
                try:
                    record = records[index]
                    if record is BLANK:
                        continue
                    value = perform(record)
                    if type(value) in plain:
                        append(value)  # type: ignore[misc]
                        mark(index)  # type: ignore[misc]
                    else:
                        take(value, index)
                except Exception as error:
                    outcome.index = index
                    if error is performance.asked:
                        return self._end_early(outcome, index, error)
                    crashed = isinstance(error, OwnProcessEnded)
                    problem = self._after_crash(outcome, error) if crashed else error
                    if problem is None:
                        return
                    if rejects.may_reject(job, outcome):
                        outcome.reject(problem)
                    elif crashed:
                        raise problem from None
                    else:
                        raise
                if (
                    values["state"] != "running"
                    or performance.asked is not None
                    or (monotonic() >= look_at and interruption.is_now())
                ):
                    index += 1
                    return self._end_early(outcome, index, performance.asked)
        except BaseException:
            outcome.index = index
            raise
        outcome.index = len(records)

    def _after_crash(self, outcome: Outcome, error: Exception) -> WorkerCrashed | None:
        """Have a slice tried again from the record at which its own process has ended.

        Returns:
            with what the record fails, if that was too often; else None.
        """
        before = outcome.slice.interruptions if outcome.index == outcome.start else 0
        crashes, limit, number = before + 1, current().config.crash_limit, outcome.slice.id
        self.job.logger.warning(
            "crashed", slice=number, reason=str(error), crashes=crashes, limit=limit
        )
        if crashes >= limit:
            problem = f"{error}; {crashes} crashes while it processed this record"
            return without_backtrace(WorkerCrashed(problem))
        outcome.release_at(outcome.index)
        outcome.crashes = crashes
        return None

    def _end_early(self, outcome: Outcome, index: int, asked: Exception | None) -> None:
        """Keep what was done up to a record; only a slice whose time is up fails.

        Raises:
            JobTimeout: its time is up, and it is not done.
        """
        if isinstance(asked, JobTimeout) and index < len(outcome.slice.records):
            raise asked
        if asked is not None:
            self._interruption.happened = True
        outcome.release_at(index)


def perform_alone(
    job: BatchModel, worker: Worker, records: list[Any], first: int, number: int
) -> tuple[BaseException | None, int]:
    """Perform the records of a slice from one on, and store nothing of what comes of it.

    Args:
        first: the number of the first of the records in the whole upload.
        number: that of the record to begin with.

    Returns:
        what was raised, if anything; and the number of the record at which it ended.
    """
    slice_ = Slice(records, first, job.input)
    slice_.state, slice_.processing_record_number = "running", number - first + 1
    job.input.insert(slice_)
    outcome = SlicePerformer(job, worker, Interruption(job, worker)).process(slice_)
    return outcome.error, first + min(outcome.index, max(0, len(records) - 1))


def give_up(job: BatchModel, slice_: Slice, error: JobTimeout) -> bool:
    """Fail a slice at which a thread hangs, as it was when it was claimed."""
    exception = JobException.of(error, slice_.worker_name)
    encoded = EXCEPTION.encode(exception)  # type: ignore[misc]
    changed = {"state": "failed", "exception": encoded, "failed_at": clock.now()}
    update = {"$set": changed, "$unset": RELEASED, "$inc": {"failure_count": 1}}
    found = job.input.collection.update_one(claim_guard(slice_), update)
    return bool(found.matched_count)


def _in_chain(job: BatchModel, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what is called for each record: perform alone, where nothing is around it."""
    chain = job.chain("perform")
    return (lambda record: chain.run(job, lambda: call(record))) if chain else call


def _plain_call(job: BatchModel) -> Callable[[Any], Any]:
    perform: Callable[[Any], Any] = job.perform
    if inspect.iscoroutinefunction(perform):
        performance = performance_of(job)
        return lambda record: async_loop.run(perform(record), performance)
    return perform


def leave_alone(job: BatchModel, worker: Worker, name: str) -> None:
    """Have the workers of this process join a job no more until the next re-check."""
    if worker.queue is not None:
        worker.queue.defer(name, {"_id": {"$in": [job.id]}})
