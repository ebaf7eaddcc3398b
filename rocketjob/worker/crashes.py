"""A process of its own that has ended by itself: a crash, as the end of any worker process.

So the job counts it and is queued again; `crash_limit` crashes fail it: see `jobs.claims`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rocketjob.base.errors import NotFound, StateConflict, WorkerCrashed
from rocketjob.jobs import claims
from rocketjob.store import context
from rocketjob.worker.prepared import prepared

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job
    from rocketjob.states.machine import Change


class OwnProcessEnded(WorkerCrashed):
    """The process of its own in which it was performed has ended by itself."""


def again_after_crash(
    job: Job, error: BaseException, commit: Callable[[Change], None], waits: bool
) -> bool:
    """Queue a job again whose own process has ended by itself, or fail it after too many crashes.

    Args:
        commit: writes the change.
        waits: while the store is out of reach.

    Returns:
        whether that was so.
    """
    if not isinstance(error, OwnProcessEnded) or job.is_new or not job.is_running:
        return False
    limit = context.current().config.crash_limit
    reason = str(error)
    change = prepared(job, waits, lambda: claims.reclaiming(job, reason, reason, limit))
    job.logger.warning("crashed", reason=reason, crashes=job.interruptions, limit=limit)
    try:
        commit(change)
    except (StateConflict, NotFound) as lost:
        job.logger.warning(type(lost).__name__, reason=str(lost))
    return True
