"""What one worker does for a batch job: begin it, process slices, end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.base import clock
from rocketjob.base.errors import ClaimLost, NotFound, StateConflict, StoreUnavailable
from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.holds import Hold
from rocketjob.jobs.store_away import AGAIN_AFTER
from rocketjob.worker import runner
from rocketjob.worker.contexts import in_fresh_context
from rocketjob_plugins.batch.settings import are_away
from rocketjob_plugins.batch.work.begin import begin, open_to_all
from rocketjob_plugins.batch.work.end import finish_if_done
from rocketjob_plugins.batch.work.records import leave_alone
from rocketjob_plugins.batch.work.slices import SliceFailed, SliceWorker

if TYPE_CHECKING:
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.model import BatchModel

__tracebackhide__ = True  # a record's error is shown from the job's own code on
log = Logger("rocketjob.batch")


def work_batch_job(job: BatchModel, worker: Worker) -> None:
    """Do what there is for one worker: begin the job, process slices, end it."""
    try:
        if job.sub_state in (None, "before"):
            in_fresh_context(begin, job)
        elif claims.claim_of(job) is not None:  # released after its beginning: for all again
            open_to_all(job)
        if job.is_running and job.sub_state == "processing" and SliceWorker(job, worker).run():
            in_fresh_context(finish_if_done, job, worker)
    except SliceFailed as failed:
        raise failed.error from None  # inline: the job goes on with the next `perform_now`
    except (ClaimLost, NotFound, StateConflict):
        raise
    except BaseException as error:
        if _has_no_store(job, error, worker):
            _wait_for_slices(job, error, worker)
        elif claims.claim_of(job) is not None or worker.inline:
            if not runner.stops_as_asked(job, error, worker):
                runner.fail(job, error, worker)
        elif worker.queue is not None and isinstance(error, Exception) and are_away(error):
            worker.queue.leave_open(job, error)
        else:
            log.exception("a worker left a batch job", job_id=str(job.id))
            leave_alone(job, worker, "left")  # else it would join and leave without pause
        if worker.inline:
            raise
    finally:
        worker.working_on(job)


def _has_no_store(job: BatchModel, error: BaseException, worker: Worker) -> bool:
    """Return whether the job has not begun, or ended, because the store of its slices is away.

    A store that was away for a moment only counts as well, so it is not enough to look at it now:
    what batch asks of it raises `StoreUnavailable`. What callbacks call may raise errors like those
    of a store, of another server: those count only while the store of the slices is away too.
    """
    is_alone = job.sub_state != "processing" and claims.claim_of(job) is not None
    if not is_alone or worker.inline or not isinstance(error, Exception):
        return False
    if isinstance(error, StoreUnavailable):
        return True
    if not are_away(error):
        return False
    try:
        job.input.collection.find_one({}, {"_id": 1})
    except Exception as problem:
        return are_away(problem)
    return False


def _wait_for_slices(job: BatchModel, error: BaseException, worker: Worker) -> None:
    """Queue the job again: it begins, or ends, once more, as after a crash."""
    job.logger.warning("deferred: the store of its slices is away", error=message_of(error))
    text = f"the store of its slices is out of reach: {message_of(error)}"
    hold = Hold("slices_are_away", text, until=clock.now() + AGAIN_AFTER)
    worker.hold_back(job, hold, {"_id": job.id})
