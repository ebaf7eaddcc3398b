"""Reclaim the slices that a dead process or server held.

A slice whose worker crashes `crash_limit` times is halved, and its halves are processed apart,
until the record that kills its worker stands alone. That one is rejected, if the job allows
rejects, or failed with `WorkerCrashed`; the rest completes. Where a whole server died, any of its
slices may have been the cause: each is quarantined, to be processed alone, as jobs are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rocketjob import Job, WorkerCrashed, hookimpl
from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.store import Insert, Unit, Write
from rocketjob_plugins.batch.batch import Batch
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.outcome.commit import counting, store_outcomes
from rocketjob_plugins.batch.outcome.render import Outcome
from rocketjob_plugins.batch.settings import are_away, within_reach
from rocketjob_plugins.batch.slice import RELEASED, Slice
from rocketjob_plugins.batch.slices import claim_guard

log = Logger("rocketjob.batch")
OLD_NOTE = "outcome"
HOLDING = ["running", "paused", "failed"]  # states in which a worker may still have a slice


@hookimpl
def claim_owners() -> list[str | None]:
    owners: list[str | None] = []
    for job in _batch_jobs(HOLDING):
        try:
            owners += job.input.owners()
        except Exception as error:
            if not are_away(error):
                raise
            # Where the slices' own store is away, the work of simple jobs is still reclaimed.
            log.warning("slices cannot be looked at", job_id=str(job.id), error=str(error))
            owners.append(None)
    return owners


@hookimpl
def reclaim(
    owner: str, crashed: Mapping[str, str], crash_limit: int, unexplained: str | None = None
) -> int:
    with within_reach():
        return sum(
            _reclaim_safely(job, slice_, crashed, crash_limit, unexplained)
            for job in _batch_jobs(HOLDING)
            for slice_ in job.input.where({"state": "running", **claims.held_by(owner)})
        )


def _reclaim_safely(
    job: Batch,
    slice_: Slice,
    crashed: Mapping[str, str],
    crash_limit: int,
    unexplained: str | None,
) -> bool:
    how = crashed.get(f"{job.id}/{slice_.id}")
    try:
        if unexplained and how is None:
            how = _quarantine(job, slice_, unexplained)
        return _reclaim(job, slice_, how, crash_limit)
    except Exception as error:
        if are_away(error):
            raise
        log.exception("a slice cannot be reclaimed", job_id=str(job.id), slice=slice_.id)
        return False


@hookimpl
def waiting_quarantined() -> int:
    quarantined = {"state": "queued", **claims.quarantine_filter(True)}
    return sum(_has(job, quarantined) for job in _batch_jobs(["running"]))


def _has(job: Batch, filter: Mapping[str, Any]) -> bool:
    try:
        return job.input.collection.find_one(filter, {"_id": 1}) is not None
    except Exception as error:
        if not are_away(error):
            raise
        return False  # it is looked for again soon


def _batch_jobs(states: list[str]) -> Iterator[Batch]:
    filter = {"state": {"$in": states}, "sub_state": {"$exists": True}}
    for stored in Job.collection().find(filter):
        try:
            job = Job.from_document(stored)
        except Exception as error:  # one that cannot be read must not keep the others back
            log.warning("a job cannot be loaded", job_id=str(stored["_id"]), error=str(error))
            continue
        if isinstance(job, Batch) and job.has_input_category("main"):
            yield job


def _quarantine(job: Batch, slice_: Slice, reason: str) -> str | None:
    """Note that a slice may have ended its server; return how, if it was the only one."""
    if claims.was_quarantined(slice_.claim, slice_.quarantined):
        return reason
    write = claims.quarantine(slice_.id, slice_.claim)
    job.input.store.write_many(job.input.name, [write])
    return None


def _reclaim(job: Batch, slice_: Slice, how: str | None, crash_limit: int) -> bool:
    slices = job.input
    if slices.store.recover(slices.name, claim_guard(slice_)) or _carry_out_old(job, slice_):
        return True
    if how is None:
        update: dict[str, Any] = {"$set": {"state": "queued"}, "$unset": RELEASED}
        return bool(slices.collection.update_one(claim_guard(slice_), update).matched_count)
    slice_.interruptions += 1
    if slice_.interruptions < crash_limit:
        changed = {"state": "queued", "interruptions": slice_.interruptions}
        update = {"$set": changed, "$unset": RELEASED}
        return bool(slices.collection.update_one(claim_guard(slice_), update).matched_count)
    if _records_left(slice_) > 1:
        return _halve(job, slice_, crash_limit)
    _give_up(job, slice_, how)
    return True


def _records_left(slice_: Slice) -> int:
    try:
        return len(slice_) - max(0, (slice_.processing_record_number or 1) - 1)
    except Exception:
        return 1  # it cannot be read here, so that it cannot be halved either


def _halve(job: Batch, slice_: Slice, crash_limit: int) -> bool:
    """Put two halves in a slice's place, each of which is halved again at its next crash."""
    slices = job.input
    done = max(0, (slice_.processing_record_number or 1) - 1)
    records = slice_.records[done:]
    first = slice_.id + done
    middle = max(1, len(records) // 2)
    halves = [Slice(records[:middle], first), Slice(records[middle:], first + middle)]
    for half in halves:
        half.interruptions, half.quarantined = crash_limit - 1, 0  # the next crash is its own

    unit = _replacing(job, slice_, [half for half in halves if len(half)])
    if not slices.store.commit([unit])[0].held:
        return False
    log.warning("a slice that crashes its worker was halved", slice=slice_.id, records=len(records))
    return True


def _replacing(job: Batch, slice_: Slice, parts: list[Slice]) -> Unit:
    """Return the unit that puts parts in a slice's place, one of which may have its number."""
    slices, inserts = job.input, list[Insert]()
    update: dict[str, Any] | None = None
    for part in parts:
        part._slices = slices
        stored = part.to_document()
        if part.id == slice_.id:
            del stored["_id"]
            update = {"$set": stored, "$unset": RELEASED}
        else:  # in nobody's hands until the slice itself is gone
            inserts.append(Insert(slices.name, stored, hidden={"state": "running"}))
    write = Write(claim_guard(slice_), update)
    return Unit(collection=slices.name, write=write, inserts=inserts, interim={}, undo={})


def _carry_out_old(job: Batch, slice_: Slice) -> bool:
    """Store an outcome that version 0.1 has noted in a slice, however often that was begun."""
    noted = {**claim_guard(slice_), OLD_NOTE: {"$exists": True}}
    stored = job.input.collection.find_one(noted, {OLD_NOTE: 1})
    if stored is None:
        return False
    note = stored[OLD_NOTE]
    update = None if note["update"] is None else dict(note["update"])
    if update is not None:
        update["$unset"] = {**update.get("$unset", {}), OLD_NOTE: ""}
    unit = Unit(
        collection=job.input.name,
        write=Write(claim_guard(slice_), update),
        inserts=[Insert(e["collection"], e["document"], replaces=True) for e in note["documents"]],
        also=[counting(job, dict(note["statistics"]))] if note["statistics"] else [],
        id=f"{slice_.id}.{slice_.claim_number}",
        interim={},
    )
    return job.input.store.commit([unit])[0].held


def _give_up(job: Batch, slice_: Slice, how: str) -> None:
    error = WorkerCrashed(f"{how}; {slice_.interruptions} crashes while it processed this record")
    outcome = Outcome(slice_, job)
    outcome.index = outcome.start
    if rejects.may_reject(job, outcome):
        outcome.reject(error)
    else:
        outcome.fail(error)
    store_outcomes(job, [outcome])
