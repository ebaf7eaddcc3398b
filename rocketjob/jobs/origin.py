"""Where a job comes from: links that are stored with it, in the write that creates it.

`created_in` is the job in which it was created: while that was performed, or as its next instance.
`created_for` is what had it created, such as an entry of a directory or a schedule, and is handed
on: whatever a job creates was created for the same. A feature sets it before the job is stored:

    job.created_for = link("weather_station", station.id)
"""

from __future__ import annotations

import contextvars
from typing import Any, Protocol

from bson import ObjectId

from rocketjob.jobs.claims import COLLECTION
from rocketjob.store import Filter, Stored, context


class Linked(Protocol):
    """What is needed of a job."""

    id: ObjectId
    created_in: ObjectId | None
    created_for: str | None

    @property
    def is_new(self) -> bool: ...


PERFORMED: contextvars.ContextVar[Any] = contextvars.ContextVar("rocketjob", default=None)
"""The job that is being performed here: ask `rocketjob.current_job`."""

FIELDS = ("created_in", "created_for")
SHOWN = 10  # of the jobs that one has created
OF_EACH = dict.fromkeys(("_type", "state", "run_at", "created_at", "description"), 1)
INDEXES: list[dict[str, Any]] = [
    {
        "keys": [(key, 1), ("_id", 1)],
        "name": key,
        "partialFilterExpression": {key: {"$exists": True}},  # most jobs have none
    }
    for key in FIELDS
]


def link(kind: str, id: object) -> str:
    """Return what `created_for` has for something of a kind: both, with a colon between."""
    return f"{kind}:{id}"


def parts_of(created_for: str) -> tuple[str, str]:
    """Return the kind and the id of a link."""
    kind, _, id = created_for.partition(":")
    return kind, id


def note(job: Linked, creator: Linked | None = None) -> None:
    """Note where a new job comes from, unless that is known.

    Args:
        creator: None: the job that is being performed here, if any.
    """
    creator = creator or PERFORMED.get()
    if creator is None or creator is job:
        return
    if job.created_in is None and not creator.is_new:
        job.created_in = creator.id
    if job.created_for is None and isinstance(creator.created_for, str):
        job.created_for = creator.created_for


def of_creator(id: ObjectId) -> Filter:
    """Return the filter for the jobs that were created in one."""
    return _linked("created_in", id)


def of_link(created_for: str) -> Filter:
    """Return the filter for the jobs that were created for something."""
    return _linked("created_for", created_for)


def _linked(key: str, value: Any) -> Filter:
    # The second says what the index says, so that it is used for the order too.
    return {"$and": [{key: value}, {key: {"$exists": True}}]}


def newest(filter: Filter, limit: int = SHOWN) -> list[Stored]:
    """Return what is stored of the newest jobs of a filter, as far as lists show it."""
    jobs = context.current().store.collection(COLLECTION)
    return list(jobs.find(filter, OF_EACH, sort=[("_id", -1)], limit=limit))


def class_of(id: ObjectId) -> str | None:
    """Return the class of a stored job; None if it is not stored any more."""
    stored = context.current().store.collection(COLLECTION).find_one({"_id": id}, {"_type": 1})
    return None if stored is None else str(stored.get("_type"))
