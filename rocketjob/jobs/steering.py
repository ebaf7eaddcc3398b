"""Changing a stored job as a person saw it: only if its state is still the one that was shown.

A page, a chat or a script shows a job, and somebody decides; by then it may be in another state,
or gone. `steer` makes the change only if nothing has come in between::

    steer(job_id, "retry", expected="failed", by="ada")

`edit` is the same for fields: a job is read, shown, and saved only as it was read. It and
`destroy_as_read` do so with any document that has states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import attrs
from bson import ObjectId

from rocketjob.base.errors import ClaimLost, NotFound, StateConflict
from rocketjob.base.text import relative
from rocketjob.jobs.job import Job
from rocketjob.model.lookup import as_object_id
from rocketjob.model.record import record_of
from rocketjob.states.stateful import Stateful

S = TypeVar("S", bound=Stateful)


class Stale(StateConflict):
    """The job is no longer in the state that was shown; nothing was changed.

    Attributes:
        job: as it is now.
    """

    def __init__(self, job: Job, expected: str) -> None:
        super().__init__(f"{type(job).__name__} {job.id} is {job.state}, no longer {expected}")
        self.job = job


class Overtaken(StateConflict):
    """The fields of a job or other document, or its state, are no longer as they were read.

    Nothing was changed.
    """

    def __init__(self, document: Stateful) -> None:
        super().__init__(
            f"{type(document).__name__} {document.id} was changed by somebody else in the "
            "meantime: nothing was saved. Read it again and decide again"
        )


@attrs.frozen
class _AsRead:
    """Lets a document be written only if the store still has what was read of it."""

    must_hold: ClassVar[bool] = True  # else a removal that finds nothing is none, and no error

    keys: dict[str, Any]

    def guard(self) -> dict[str, Any]:
        return {key: {"$eq": value} for key, value in self.keys.items()}


def edit(document: S, values: Mapping[str, Any]) -> S:
    """Change fields of a job, or other document, that was read for that, and save it.

    Args:
        document: as it was read; it must not have a claim.
        values: of fields that are `user_editable`, by name.

    Raises:
        ValueError: one of the fields is not there, or not for people to change.
        ValidationError: nothing was stored; the values stay on the object.
        Overtaken: the state, or one of these fields, was changed since the document was read.
        NotFound: there is no such document any more.
    """
    fields, record = document.fields(), record_of(document)
    for name in values:
        if name not in fields or not fields[name].user_editable:
            raise ValueError(f"{type(document).__name__}.{name} is not a field that can be edited")
    stored = record.stored or {}
    keys = ("state", *(fields[name].key for name in values))
    for name, value in values.items():
        setattr(document, name, value)
    record.claim = _AsRead({key: stored.get(key) for key in keys})
    try:
        document.save()
    except StateConflict:
        if document.collection().find_one({"_id": document.id}, {"_id": 1}) is None:
            kind = "Job" if isinstance(document, Job) else type(document).__name__
            raise NotFound(f"There is no {kind} with the id {document.id}") from None
        raise Overtaken(document) from None
    finally:
        record.claim = None
    return document


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
        destroy_as_read(job) if event == "destroy" else getattr(job, event)(**arguments)
    except StateConflict:
        raise Stale(_stored(id), expected or job.state) from None
    return job


def as_it_is(job: Job) -> str:
    """Say in which state a job is and who brought it there, to whoever has come too late."""
    last = next(iter(reversed(job.history)), None)
    if last is None:
        return f"is {job.state}"
    by = f" by {last.by or last.worker_name}" if last.by or last.worker_name else ""
    return f"is {job.state}, since {last.event.replace('_', ' ')}{by} {relative(last.at)}"


def _stored(id: ObjectId | str) -> Job:
    stored = Job.collection().find_one({"_id": as_object_id(id)})
    if stored is None:
        raise NotFound(f"There is no Job with the id {id}")
    return Job.listed(stored)


def destroy_as_read(document: Stateful) -> None:
    """Destroy a document, unless its state has changed since it was read.

    Raises:
        StateConflict: it has, and the document is still there.
        NotFound: somebody else has removed it.
    """
    record = record_of(document)
    record.claim = _AsRead({"state": (record.stored or {}).get("state", document.state)})
    try:
        document.destroy()
    except ClaimLost:
        record.claim = None
        raise document.write_lost() from None
    finally:
        record.claim = None


def may(document: Stateful, event: str) -> bool:
    """Return whether an event of a job, or other document, or `destroy`, is possible now."""
    return event == "destroy" or (event in document.__events__ and document.may(event))
