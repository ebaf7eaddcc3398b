"""Where a worker holds a job: its canary is done, or too many of its records have failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.errors import StateConflict
from rocketjob.worker import runner
from rocketjob.worker.prepared import changed
from rocketjob_plugins.batch import holding

if TYPE_CHECKING:
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.model import BatchModel
    from rocketjob_plugins.batch.outcome.render import Outcome

PER_LOOK = 200  # failed slices that are read for each of those that fail
__tracebackhide__ = True  # an error is shown from the job's own code on


@attrs.define
class BudgetWatch:
    """Holds a job of which too many records have failed, while one worker is at it.

    Not while its canary is in work, which ends soon by itself.
    """

    job: BatchModel
    worker: Worker
    _passed_over: int = 0

    def is_over(self) -> bool:
        """Look, before slices are taken; return whether the job is not to go on."""
        job = self.job
        if job.failure_budget is None or job.is_new:
            return False
        holding.refresh(job)
        return not holding.in_canary(job) and _hold_over_budget(job, self.worker)

    def is_over_after(self, outcomes: Iterable[Outcome]) -> bool:
        """Look, once slices are stored, if something has failed in them.

        Each look reads all slices that have failed: where those are many, not each time.
        """
        if self.job.failure_budget is None or not any(_is_harmed(each) for each in outcomes):
            return False
        self._passed_over += 1
        if self._passed_over * PER_LOOK < self.job.input.count("failed"):
            return False
        is_over = self.is_over()
        self._passed_over = 0  # only now: a look that a store out of reach prevents is made up for
        return is_over


def _is_harmed(outcome: Outcome) -> bool:
    return outcome.error is not None or bool(outcome.rejected)


def is_held(job: BatchModel, worker: Worker) -> bool:
    """Return whether a job that has no more slices to claim is not to be ended; hold it if need be.

    Its canary may be done, or still in the hands of others.
    """
    if holding.in_canary(job) and job.canary_end is not None:
        slices, inside = job.input.collection, {"_id": {"$lt": job.canary_end}}
        if slices.find_one({**inside, **holding.UNDONE}, {"_id": 1}):
            return True
        rest = {"_id": {"$gte": job.canary_end}}
        if job.record_count is None or slices.find_one(rest, {"_id": 1}):
            _end_canary(job, worker)
            return True
    return job.failure_budget is not None and _hold_over_budget(job, worker)


def _end_canary(job: BatchModel, worker: Worker) -> None:
    has_passed, said = holding.verdict_on_canary(job)
    if not has_passed or job.canary_approval:
        job.logger.warning("held for approval", by=holding.CANARY, reason=said)
        make(job, worker, "hold_for_approval", rule=holding.CANARY, reason=said)
        return
    still = {"_id": job.id, "state": "running", "sub_state": "processing"}
    job.collection().update_one(still, {"$set": {"canary_over": True}})
    job.logger.info("goes on", reason=said)


def _hold_over_budget(job: BatchModel, worker: Worker) -> bool:
    failures = holding.failures_of(job)
    if failures is None or not failures.are_too_many:
        return False
    slices = job.input.collection
    if failed_alone(slices):
        return False  # it fails, which says more
    job.logger.warning("held for approval", by=holding.BUDGET, reason=str(failures))
    make(job, worker, "hold_for_approval", rule=holding.BUDGET, reason=str(failures))
    return True


def failed_alone(slices: Any) -> bool:
    """Return whether slices have failed, and no others are left."""
    is_there = slices.find_one({"state": "failed"}, {"_id": 1}) is not None
    return is_there and slices.find_one(holding.UNDONE, {"_id": 1}) is None


def make(job: BatchModel, worker: Worker, event: str, **arguments: Any) -> None:
    """Make an event of a job; nothing, if another worker was first."""
    try:
        change = changed(job, worker.waits, event, arguments)
        change.write()
    except StateConflict:
        return
    runner.after_commit(change)
