"""Which job is being performed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.base import acts
from rocketjob.jobs.origin import PERFORMED

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job


def current_job() -> Job | None:
    """Return the job that is being performed here; None outside of any.

    It is known in `perform`, in the job's callbacks and in hooks that are called meanwhile, in
    coroutines and with `asyncio.to_thread`; not in threads that a job starts in another way.
    """
    job: Job | None = PERFORMED.get()
    return job


def now_performing(job: Job) -> None:
    """Note the job in the present context, which is its own: what it does is no person's doing."""
    PERFORMED.set(job)
    if acts.begun:
        acts.end()
