"""The beginning of a batch job: its callbacks on one worker, then it is open to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.base.errors import ClaimLost
from rocketjob.jobs import claims
from rocketjob.worker import runner
from rocketjob_plugins.batch.io.undo import start_over
from rocketjob_plugins.batch.settings import within_reach
from rocketjob_plugins.batch.work.persist import persistently

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

__tracebackhide__ = True  # an error is shown from the job's own code on


def begin(job: BatchModel) -> None:
    """Run the callbacks before the batch on one worker, then open the job to all."""
    if claims.claim_of(job) is not None:
        with within_reach():
            runner.run_start_callbacks(job)
    if not job.is_running:
        return save_where_it_is(job)
    befores = [c for c in job.chain("batch").callbacks if c.kind == "before"]
    if befores:
        _start_over(job)
    for callback in befores:
        if callback.applies(job):
            callback.call(job)
        if not job.is_running:
            return save_where_it_is(job)
    open_to_all(job)


@within_reach()
def _start_over(job: BatchModel) -> None:
    start_over(job)
    job.sub_state = "before"
    if not job.is_new:
        job.save(validate=False)


@within_reach()
def save_where_it_is(job: BatchModel) -> None:
    """Save a job that a callback has taken out of running, as `runner.save_where_it_is` does."""
    runner.save_where_it_is(job)


@within_reach()
def open_to_all(job: BatchModel) -> None:
    """Give the job out of this worker's hands: from now on all workers process its slices."""
    claim = claims.claim_of(job)
    job.sub_state, job.upload_mark = "processing", None
    claims.clear(job)
    if not job.is_new:
        persistently(job, lambda: _save_opened(job, claim))
        claims.forget_cleared(job)


def _save_opened(job: BatchModel, claim: claims.Claim | None) -> None:
    """Save the job, unless an earlier try has, and its answer was lost."""
    try:
        job.save(validate=False)
    except ClaimLost:
        if claim is None or not _is_open_since(job, claim):
            raise
        job.reload()


def _is_open_since(job: BatchModel, claim: claims.Claim) -> bool:
    opened = {"state": "running", "sub_state": "processing", "claimed_by": None}
    mine = {"_id": job.id, "claim_number": claim.number, **opened}
    return job.collection().find_one(mine, {"_id": 1}) is not None
