"""Which jobs have completed and were removed, so that those who wait for one can know it.

A job that is removed on completion leaves nothing behind in its own collection, just like one that
expired or that somebody destroyed. So whoever completes jobs notes their ids, in one document for
all that are written together. It is kept for ten minutes: those who wait are woken at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import JobExpired, NotFound
from rocketjob.base.log import Logger
from rocketjob.store import context

log = Logger("rocketjob.completions")
COLLECTION = "rocket_job.completions"
INDEXES: dict[str, list[dict[str, Any]]] = {COLLECTION: [{"keys": [("at", 1)], "name": "at"}]}
KEPT = timedelta(minutes=10)


PATIENCE = 2.0  # seconds for which who waits believes that the note of a removal is on its way


def note(job_ids: Sequence[Any]) -> None:
    """Note that jobs have completed and are removed.

    It is not in the step that removes them. If the process dies between the two, nobody is told
    that they completed; it is never told of a job that did not.
    """
    document = {"_id": ObjectId(), "at": clock.now(), "jobs": list(job_ids)}
    try:
        context.current().store.collection(COLLECTION).insert_one(document)
    except Exception as error:  # the jobs are done: only who waits for one is told less
        log.warning("that jobs completed cannot be noted", jobs=len(job_ids), error=str(error))


def completed_at(job_id: Any, since: datetime, patience: float = 0.0) -> datetime | None:
    """Return when a job that is removed completed; None if that is not known.

    Args:
        since: it cannot have completed before, as it was made then.
        patience: how long to look for it, in seconds.
    """
    store, end = context.current().store, clock.monotonic() + patience
    while True:
        mark = store.change_mark()
        recent = {"$gte": max(since, clock.now() - KEPT)}
        completion = store.collection(COLLECTION).find_one(
            {"at": recent, "jobs": job_id}, {"at": 1}
        )
        left = end - clock.monotonic()
        if completion is not None or left <= 0:
            return None if completion is None else completion["at"]
        store.wait_for_change(mark, left)


def among(job_ids: Sequence[Any]) -> set[Any]:
    """Return those of these jobs that have completed lately and were removed."""
    notes = context.current().store.collection(COLLECTION).find({"jobs": {"$in": list(job_ids)}})
    return {id for stored in notes for id in stored["jobs"]}.intersection(job_ids)


def gone(job: Any) -> NotFound:
    """Return the error that says of a job that is gone what is known of it."""
    if job.expires_at is not None and job.expires_at <= clock.now() and job.is_queued:
        return JobExpired(
            f"{job!r} is not stored any more: it was not started before it expired, "
            f"at {job.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    if job.is_new or not job.destroy_on_complete:
        return NotFound(f"{job!r} is not stored{'' if job.is_new else ' any more'}")
    return NotFound(
        f"{job!r} is not stored any more, and whether it completed is not known: it may have "
        "completed more than ten minutes ago, or have been destroyed, or aborted and removed. "
        "With destroy_on_complete=False it stays until somebody removes it"
    )


def what_is_known(job_id: ObjectId) -> str:
    """Say in a sentence what may have become of a job that is not stored."""
    at = completed_at(job_id, job_id.generation_time)
    if at is not None:
        return f"it completed at {at:%Y-%m-%d %H:%M:%S} UTC, and was removed then"
    return "it may have completed and been removed then: jobs are, unless destroy_on_complete=False"


def forget() -> None:
    """Remove what nobody asks for any more; every server's sweep does."""
    context.current().store.collection(COLLECTION).delete_many({"at": {"$lt": clock.now() - KEPT}})
