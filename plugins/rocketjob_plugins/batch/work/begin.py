"""The beginning of a batch job: its callbacks on one worker, then it is open to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.jobs import claims
from rocketjob.worker import runner
from rocketjob_plugins.batch.io.undo import start_over
from rocketjob_plugins.batch.work.persist import persistently

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

__tracebackhide__ = True  # an error is shown from the job's own code on


def begin(job: BatchModel) -> None:
    """Run the callbacks before the batch on one worker, then open the job to all."""
    if claims.claim_of(job) is not None:
        runner.run_start_callbacks(job)
    if not job.is_running:
        return runner.save_where_it_is(job)
    befores = [c for c in job.chain("batch").callbacks if c.kind == "before"]
    if befores:
        start_over(job)
        job.sub_state = "before"
        if not job.is_new:
            job.save(validate=False)
    for callback in befores:
        if callback.applies(job):
            callback.call(job)
        if not job.is_running:
            return runner.save_where_it_is(job)
    open_to_all(job)


def open_to_all(job: BatchModel) -> None:
    """Give the job out of this worker's hands: from now on all workers process its slices."""
    job.sub_state, job.upload_mark = "processing", None
    claims.clear(job)
    if not job.is_new:
        persistently(job, lambda: job.save(validate=False))
        claims.forget_cleared(job)
