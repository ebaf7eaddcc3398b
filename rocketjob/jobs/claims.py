"""One claim of a job: how it is written and guarded, released, and reclaimed from the dead.

A claim is the name of who claims, `incarnation.process`, and a number that grows with each claim
of the job. Every later write of the worker is conditional on both: `write_guard` of the job adds
them to its filter, so that nobody who has lost a claim writes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import inf
from typing import Any, Literal, NamedTuple

import bson

from rocketjob.base import clock
from rocketjob.base.errors import (
    ClaimLost,
    JobAborted,
    NotFound,
    StateConflict,
    WorkerCrashed,
)
from rocketjob.jobs.exception import JobException
from rocketjob.model.record import HISTORY, assign, record_of
from rocketjob.model.types import codec_for
from rocketjob.states import history
from rocketjob.states.machine import Change
from rocketjob.store import Filter, Stored, Update, Write
from rocketjob.store.away import is_away

COLLECTION = "rocket_job.jobs"
INDEX: dict[str, Any] = {
    "keys": [("claimed_by", 1), ("claim_number", 1)],  # all that guards a write under a claim
    "name": "held",
    "partialFilterExpression": {"claimed_by": {"$exists": True}},
}
RELEASED = {"worker_name": "", "claimed_by": ""}  # what goes when nobody holds the job any more
FULL = 16 * 1024 * 1024 - 4096  # bytes: less than a claim's entry in the history is left
# Stored: the claim under which the job may have ended its whole server; less than nothing if it may
# only be one of many that were performed on one event loop. Then it is tried again in a group.
QUARANTINED = "suspected"
UNCLAIMED: Filter = {"state": "running", "claimed_by": None}  # workers may join it, or it is lost
AWAITED = "awaited"  # when a job that is being performed last said that it waits for this one
AWAITED_SECONDS = 30.0  # after which it has given up, or died
UNSTARTED = {**RELEASED, "started_at": ""}


class Claim(NamedTuple):
    """Who works on a job: a process of a server incarnation, and which claim of the job it is."""

    by: str
    number: int
    at: float = inf  # when it was asked for, to start the job, in seconds of the monotonic clock

    def guard(self) -> dict[str, Any]:
        """Return the part of a filter that finds the job only while the claim holds."""
        return {"claimed_by": self.by, "claim_number": self.number}


def claim_in(stored: Mapping[str, Any], at: float = inf) -> Claim:
    """Return the claim that a stored job is under."""
    return Claim(stored["claimed_by"], stored.get("claim_number", 0), at)


# --- the claim of an object ----------------------------------------------------------------------


def claim_of(job: Any) -> Claim | None:
    """Return the claim under which this object writes the job; None if it has none."""
    return record_of(job).claim  # type: ignore[return-value]


def hold(job: Any, claim: Claim) -> None:
    """Let this object write the job under a claim, and no longer without."""
    record_of(job).claim = claim


def taken_from(job: Any) -> ClaimLost | None:
    """Return the error for whoever works on a job that the store says is in other hands now."""
    stored = job.collection().find_one({"_id": job.id})
    if stored is None:
        return ClaimLost(f"{job!r} was deleted while it was performed; nothing is written")
    claim, state = claim_of(job), stored.get("state")
    if state == "running" and (claim is None or claim_in(stored) == claim):
        return None
    if state == "aborted":
        return JobAborted(f"{job!r} was aborted while it was performed; nothing is written")
    is_now = "in other hands" if state == "running" else state
    return ClaimLost(f"{job!r} is {is_now} in the store; nothing is written")


def clear(job: Any) -> None:
    """Clear the claim's fields: with the next write nobody holds the job any more."""
    assign(job, worker_name=None, claimed_by=None)
    if job.throttled_by is not None:  # what held it back says nothing of its next state
        forget_hold(job)


def forget_hold(job: Any) -> None:
    """Clear what held a job back; it is removed from the store with the next write."""
    job.throttled_by = job.throttled_text = job.throttled_at = None


def forget_cleared(job: Any) -> None:
    """Forget the claim, if the last write has cleared it."""
    record = record_of(job)
    if record.claim is not None and job.claimed_by is None:
        record.claim = None


# --- in the store --------------------------------------------------------------------------------


def held_by(owner: str) -> Filter:
    """Return the filter of what a process holds, or (an id without a dot) a server's processes."""
    if "." in owner:
        return {"claimed_by": owner}
    return {"claimed_by": {"$gte": owner + ".", "$lt": owner + "/"}}  # "/" follows "." in ASCII


def claim_update(by: str, worker_name: str, at: datetime, cleared: Iterable[str] = ()) -> Update:
    """Return the update that claims a queued job.

    Args:
        cleared: stored keys that it removes.
    """
    entry = history.entry("start", "running", at, worker_name)
    update = {**taken_over(by, worker_name, state="running", started_at=entry["at"])}
    update["$push"] = history.push([entry])
    if unset := dict.fromkeys(cleared, ""):
        update["$unset"] = unset
    return update


def taken_over(by: str, worker_name: str, **also: Any) -> Update:
    """Return the update that makes a new claim, and sets some fields more."""
    fields = {**also, "claimed_by": by, "worker_name": worker_name}
    return {"$set": fields, "$inc": {"claim_number": 1}}


def release(
    stored: Stored, note: Mapping[str, Any] | None = None, reason: str | None = None
) -> Write:
    """Return the write that queues a claimed job again as if it had not been claimed."""
    name, number = stored.get("worker_name"), stored.get("claim_number")
    entry = history.entry(history.RELEASE, "queued", clock.now(), name, number, reason)
    noted = history.released(stored.get(HISTORY) or (), entry)
    update = {
        **noted,
        "$set": {"state": "queued", **noted.get("$set", {}), **(note or {})},
        "$unset": UNSTARTED,
    }
    return Write(_claimed(stored), update)


def fail(stored: Mapping[str, Any], error: BaseException) -> Write:
    """Return the write that fails a claimed job by its document alone."""
    exception = JobException.of(error, stored.get("worker_name"))
    number = stored.get("claim_number")
    reason = f"{exception.class_name}: {exception.message}"
    entry = history.entry("fail", "failed", clock.now(), exception.worker_name, number, reason)
    update = {
        "$set": {
            "state": "failed",
            "completed_at": entry["at"],
            "exception": codec_for(JobException).encode(exception),  # type: ignore[misc]
        },
        "$unset": RELEASED,
        "$inc": {"failure_count": 1},
        "$push": history.push([entry]),
    }
    return Write(_claimed(stored), update)


def can_be_claimed(stored: Mapping[str, Any]) -> bool:
    """Return whether a document can take a claim; people edit documents by hand."""
    number = stored.get("claim_number", 0)
    return (
        isinstance(stored.get(HISTORY, []), list)
        and isinstance(number, int)
        and len(bson.encode(stored)) < FULL
    )


def failures_of_queued(error: BaseException) -> list[Update]:
    """Return updates that fail a job whose document cannot take a claim, the best first."""
    exception = JobException.of(error, None)
    reason = f"{exception.class_name}: {exception.message}"
    failed = {
        "state": "failed",
        "completed_at": clock.now(),
        "exception": codec_for(JobException).encode(exception),  # type: ignore[misc]
    }
    entry = history.entry("fail", "failed", clock.now(), reason=reason)
    whole = {"$set": failed, "$inc": {"failure_count": 1}, "$push": history.push([entry])}
    return [whole, {"$set": failed, "$unset": {HISTORY: ""}}, {"$set": {"state": "failed"}}]


def _claimed(stored: Mapping[str, Any]) -> Filter:
    """Return the filter of a job that is running under the claim of this document of it."""
    return running_under(stored["_id"], claim_in(stored))


def running_under(id: Any, claim: Claim) -> Filter:
    """Return the filter that finds what is claimed, a job or a part of one, while it is running."""
    return {"_id": id, **claim.guard(), "state": "running"}


# --- quarantine ----------------------------------------------------------------------------------


def quarantine_filter(quarantined: bool | None) -> dict[str, Any]:
    """Return the filter of jobs, or parts of one, whose worker has crashed before.

    Args:
        quarantined: False: only the others; None: all.
    """
    if quarantined is None:
        return {}
    if quarantined:
        return {"$or": [{"interruptions": {"$gt": 0}}, {QUARANTINED: {"$gt": 0}}, grouped_filter()]}
    return {"interruptions": {"$in": [0, None]}, QUARANTINED: None}


def grouped_filter() -> dict[str, Any]:
    """Return the filter of jobs that were among many when a worker crashed, which says little."""
    return {"interruptions": {"$in": [0, None]}, QUARANTINED: {"$lt": 0}}


def was_quarantined(claim: Claim, since: int | None) -> bool:
    """Return whether what may have ended its server was in quarantine already when it was claimed.

    Then it was claimed alone by a process of its own, so that it was being performed.

    Args:
        since: what is stored as `QUARANTINED`: the number of a claim, since several servers may be
            reclaiming at once, and none must take another's note for an earlier one.
    """
    return since is not None and 0 < since < claim.number


def quarantine(id: Any, claim: Claim) -> Write:
    """Return the write that notes that what is claimed may have ended its server."""
    return Write(running_under(id, claim), {"$set": {QUARANTINED: claim.number}})


def suspect(id: Any, claim: Claim, since: int | None) -> Write:
    """Return the write that notes that a worker crashed at what is claimed, and others on its loop.

    The first time it is to be performed in a group, and once such a group has crashed, alone.

    Args:
        since: what is stored as `QUARANTINED`.
    """
    is_again = since is not None and since != -claim.number
    number = claim.number if is_again else -claim.number
    return Write(running_under(id, claim), {"$set": {QUARANTINED: number}})


# --- reclaiming ----------------------------------------------------------------------------------


def reclaim(
    job: Any, crashed: str | None, reason: str, crash_limit: int
) -> Literal["requeued", "failed"] | None:
    """Reclaim a job from a worker that is gone; see `Job.recover`."""
    if not job.is_running:
        job.collection().update_one(job.write_guard(), {"$unset": RELEASED})
        return None
    change = reclaiming(job, crashed, reason, crash_limit)
    try:
        change.write()
    except (StateConflict, NotFound):
        return None
    change.finish()
    return "failed" if change.event.name == "fail" else "requeued"


def reclaiming(job: Any, crashed: str | None, reason: str, crash_limit: int) -> Change:
    """Return the prepared change that queues a running job again, or fails it as it should be."""
    name, arguments = "requeue", dict[str, Any](reason=crashed or reason)
    if crashed:
        job.interruptions += 1
        if job.interruptions >= crash_limit:
            message = f"{crashed}; {job.interruptions} crashes while it ran this job"
            name, arguments = "fail", {"reason": WorkerCrashed(message)}
    try:
        return _prepared(job, name, arguments)
    except BaseException:
        job.interruptions -= bool(crashed)
        raise


def _prepared(job: Any, name: str, arguments: dict[str, Any]) -> Change:
    """Return the change, without its callbacks if one of them raises: a job must not be lost."""
    change = Change(job, job.event_called(name), arguments)
    try:
        change.prepare()
    except Exception as error:
        if is_away(error):
            raise  # whoever reclaims comes again
        job.logger.exception("a callback raised while the job was reclaimed")
        change = Change(job, job.event_called(name), arguments)
        change.prepare(callbacks=False)
    return change
