"""The end of a batch job: no slice is left, and of several workers one ends it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from rocketjob.base.errors import NotFound, StoreError
from rocketjob.base.text import counted
from rocketjob.jobs import claims
from rocketjob.model.document import load_into
from rocketjob.worker.prepared import changed
from rocketjob_plugins.batch.settings import within_reach
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.work.begin import open_to_all, save_where_it_is
from rocketjob_plugins.batch.work.holding import is_held, make
from rocketjob_plugins.batch.work.persist import persistently
from rocketjob_plugins.batch.work.records import leave_alone

if TYPE_CHECKING:
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.model import BatchModel

__tracebackhide__ = True  # an error is shown from the job's own code on


def finish_if_done(job: BatchModel, worker: Worker) -> None:
    """End the job if no slice is left to process; of several workers only one does."""
    if job.is_new:
        _finish_inline(job)
    elif _takes_the_end(job, worker):
        _end(job, worker)


@within_reach()
def _takes_the_end(job: BatchModel, worker: Worker) -> bool:
    """Return whether this worker is the one that ends the job.

    That it is done is not counted but seen: there is no slice.
    """
    with contextlib.suppress(NotFound):
        job.reload()
    if not job.is_running or job.sub_state != "processing" or is_held(job, worker):
        return False
    if job.record_count is None:
        return False
    counts = job.input.counts_by_state()
    if counts.get("queued") or counts.get("running"):
        return False
    if counts.get("failed"):
        _fail_for_slices(job, worker, counts["failed"])
        return False
    if not counts and (elsewhere := job.slices_are_elsewhere()):
        _refuse_the_end(job, worker, elsewhere)
        return False
    me = os.urandom(6).hex()
    if not persistently(job, lambda: _take_over_the_end(job, worker, me)):
        return False
    if job.input.counts_by_state():
        open_to_all(job)  # somebody has added some since
        return False
    return True


def _refuse_the_end(job: BatchModel, worker: Worker, reason: str) -> None:
    """Leave a job running whose slices cannot be seen: another server may see them.

    Raises:
        StoreError: it is performed inline.
    """
    if worker.inline:
        raise StoreError(f"{job!r} cannot be worked: {reason}")
    job.logger.error("deferred: the slices are not here", reason=reason)
    leave_alone(job, worker, "slices")


def _finish_inline(job: BatchModel) -> None:
    failed = job.input.count("failed")
    if failed:
        job.fail(_reason(job, failed), save=False)
    elif job.record_count is not None:
        _run_after_batch(job)
        if job.is_running:
            job.complete(save=False)


def _fail_for_slices(job: BatchModel, worker: Worker, failed: int) -> None:
    make(job, worker, "fail", reason=_reason(job, failed))


def _reason(job: BatchModel, failed: int) -> str:
    """Say that slices have failed; and why the first did, if that is the fault of its data."""
    reason = f"{counted(failed, 'slice')} failed to process"
    first = next(job.input.where({"state": "failed"}), None)
    error = first.exception if first is not None else None
    if error is None or error.class_name != StreamError.__name__:
        return reason
    return f"{reason}: {error.message}"


def _take_over_the_end(job: BatchModel, worker: Worker, me: str) -> bool:
    """Claim the end of the job: the switch from processing to after has one winner.

    An earlier try may have made it, and only its answer was lost.
    """
    stored = job.collection().find_one_and_update(
        {"_id": job.id, "state": "running", "sub_state": "processing"},
        claims.taken_over(worker.claimed_by, worker.name, sub_state="after", ended_in=me),
        return_document=True,
    ) or job.collection().find_one({"_id": job.id, "sub_state": "after", "ended_in": me})
    if stored is None:
        return False
    load_into(job, stored)
    claims.hold(job, claims.claim_in(stored))
    worker.took(job)
    job.ended_in = None  # with whatever is written next
    return True


def _end(job: BatchModel, worker: Worker) -> None:
    _run_after_batch(job)
    if not job.is_running:
        return save_where_it_is(job)
    worker.commit(changed(job, worker.waits, "complete", {}))


def _run_after_batch(job: BatchModel) -> None:
    afters = [c for c in job.chain("batch").callbacks if c.kind == "after"]
    for callback in reversed(afters):
        if callback.applies(job):
            callback.call(job)
