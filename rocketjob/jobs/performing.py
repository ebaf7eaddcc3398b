"""Which job is being performed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rocketjob.base import acts
from rocketjob.jobs.origin import PERFORMED

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job


F = TypeVar("F", bound=Callable[..., Any])
_THREADS_ONLY = "__threads_only__"  # two of one name are no clash, as those with `__rocketjob_` are


def threads_only(work: F) -> F:
    """Mark a mixin's `work` as left out for a job on an event loop, which does without it.

    There nothing calls `work`, which would wait: what it prepares is made when it is needed.
    """
    setattr(work, _THREADS_ONLY, True)
    return work


def needs_work(job_class: type[Job], of_job: Any) -> bool:
    """Return whether a class works in a way of its own that cannot be left out.

    Args:
        of_job: `Job.work`.
    """
    works = [base.__dict__["work"] for base in job_class.__mro__ if "work" in base.__dict__]
    return any(not (work is of_job or getattr(work, _THREADS_ONLY, False)) for work in works)


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
