"""Jobs that cannot be loaded, or cannot take a claim, are failed by their document alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rocketjob.base.log import Logger
from rocketjob.jobs import changed, claims
from rocketjob.jobs.changed import Changed
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.job import Job
from rocketjob.store import Also, Insert, Store, Unit, Write

log = Logger("rocketjob.queue")


def loaded(stored: dict[str, Any]) -> Job | None:
    """Return a running job; None if its document cannot be read: it must not stop the others."""
    try:
        return Job.from_document(stored)
    except Exception:
        log.exception("a running job cannot be loaded", job_id=str(stored["_id"]))
        return None


def fail_claimed(store: Store, stored: Mapping[str, Any], error: Exception) -> bool:
    """Fail a claimed job by its document alone; return whether it was still claimed."""
    try:
        return _fail(store, stored, [claims.fail(stored, error)])
    except Exception as lost:
        log.error("it cannot be failed either", job_id=str(stored["_id"]), error=str(lost))
        return False


def fail_queued(store: Store, id: Any, error: Exception) -> bool:
    """Fail a queued job if its document cannot take a claim; return whether that was done."""
    stored = store.collection(COLLECTION).find_one({"_id": id})
    if stored is None or claims.can_be_claimed(stored):
        return stored is None  # it is not the document's fault
    guard = {"_id": id, "state": "queued"}
    try:
        _fail(store, stored, [Write(guard, each) for each in claims.failures_of_queued(error)])
    except Exception as refused:
        if store.is_transient(refused):
            raise
        return False
    return True


def _fail(store: Store, stored: Mapping[str, Any], writes: Sequence[Write]) -> bool:
    """Make the first write that the store takes, with what plugins store beside; tell observers.

    Raises:
        Exception: it takes none.
    """
    job, source = _failed(stored, writes[0]), stored["state"]
    beside = job.stored_beside("fail", source, "failed") if job is not None else ()
    held = _first_taken(store, writes, beside)
    if held and job is not None:
        changed.tell_of([Changed(job, ("fail",), source)])
        if job.is_observed():
            job.tell_observers("fail", source, "failed")
    return held


def _failed(stored: Mapping[str, Any], write: Write) -> Job | None:
    """Return the job as it will be, as far as it can be read, for those who are to know of it."""
    try:
        return Job.listed({**stored, **(write.update or {})["$set"]})
    except Exception:
        return None


def _first_taken(store: Store, writes: Sequence[Write], beside: Sequence[Insert | Also]) -> bool:
    for number, write in enumerate(writes, start=1):
        try:
            (done,) = store.commit([Unit.of(COLLECTION, write, beside)])
        except Exception as refused:  # with less and less said there is room for it
            if store.is_transient(refused) or number == len(writes):
                raise
        else:
            return done.held
    raise AssertionError("unreachable")
