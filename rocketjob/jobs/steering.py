"""Changing a stored job as a person saw it: only if its state is still the one that was shown.

A page, a chat or a script shows a job, and somebody decides; by then it may be in another state,
or gone. `steer` makes the change only if nothing has come in between::

    steer(job_id, "retry", expected="failed", by="ada")
"""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from rocketjob.base.errors import NotFound, RocketJobError, StateConflict
from rocketjob.jobs.job import Job
from rocketjob.model.lookup import as_object_id
from rocketjob.model.record import record_of


class Stale(StateConflict):
    """The job is no longer in the state that was shown; nothing was changed.

    Attributes:
        job: as it is now.
    """

    def __init__(self, job: Job, expected: str) -> None:
        super().__init__(f"{type(job).__name__} {job.id} is {job.state}, no longer {expected}")
        self.job = job


def steer(
    id: ObjectId | str,
    event: str,
    *,
    expected: str | None = None,
    by: str | None = None,
    **arguments: Any,
) -> Job:
    """Make an event of a stored job, or destroy it; return the job.

    Args:
        event: the name of an event of the job, or `destroy`.
        expected: the state in which whoever decided saw the job; None: whichever it is in.
        by: the login of that person, for the job's history.
        arguments: of the event, such as the `reason` of `fail`.

    Raises:
        NotFound: there is no such job any more.
        Stale: it is in another state than `expected`.
        InvalidTransition: its state does not allow the event.
        ValueError: there is no such event.
    """
    job = _stored(id)
    if event != "destroy":
        job.event_called(event)
    if expected is not None and job.state != expected:
        raise Stale(job, expected)
    record_of(job).by = by
    try:
        _destroy(job) if event == "destroy" else getattr(job, event)(**arguments)
    except StateConflict:
        raise Stale(_stored(id), expected or job.state) from None
    return job


def _stored(id: ObjectId | str) -> Job:
    stored = Job.collection().find_one({"_id": as_object_id(id)})
    if stored is None:
        raise NotFound(f"There is no Job with the id {id}")
    return Job.listed(stored)


def _destroy(job: Job) -> None:
    """Remove a job with its callbacks, unless its state has changed since it was read."""
    job.chain("destroy").run(job, lambda: _delete(job))


def _delete(job: Job) -> None:
    guard = job.change_guard(())
    if not job.collection().delete_one(guard).deleted_count:
        lost: RocketJobError = job.write_lost()
        raise lost
    job.after_removed()


def may(job: Job, event: str) -> bool:
    """Return whether an event, or `destroy`, is possible now."""
    return event == "destroy" or (event in job.__events__ and job.may(event))
