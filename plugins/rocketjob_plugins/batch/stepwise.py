"""Storing what became of slices where the store has no transactions.

All that is to be stored is first noted in the slice's own document, by the one guarded write that
decides whose outcome counts. Then the note is carried out: output and rejects under their own
numbers, counts once for each claim. Then the slice is removed, or left as the note says. Whoever
dies in between leaves a note, and who takes the slice back carries it out instead of queueing it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob.application import current
from rocketjob.store import Stored, Update
from rocketjob_plugins.batch.slice import Slice
from rocketjob_plugins.batch.slices import InputSlices, claim_guard

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel as Batch
    from rocketjob_plugins.batch.outcome import Outcome

FIELD = "outcome"
RELEASED = {"worker_name": "", "claimed_by": "", "claimed_in": "", "started_at": ""}
COUNTED = "_counted"  # of the job: the claims whose counts were added, the last ones
COUNTED_LAST = 1000


def settle(job: Batch, outcome: Outcome, rejected: list[Stored]) -> bool:
    """Store an outcome if the slice is still this worker's; tell whether it was.

    Args:
        rejected: the documents of the rejects.
    """
    inputs, guard = job.input, claim_guard(outcome.slice)
    documents = [{"collection": name, "document": each} for name, each in outcome.documents]
    name = f"{inputs.name.replace('.inputs.', '.outputs.', 1)}.rejects"
    documents += [{"collection": name, "document": each} for each in rejected]
    update = None if outcome.state == "done" else outcome.update()
    if not documents and not outcome.statistics:
        return _end(inputs, guard, update)
    counts = [[key, count] for key, count in outcome.statistics.items()]
    return _note(job, outcome.slice, documents, update, counts)


def replace(job: Batch, slice_: Slice, parts: list[Slice]) -> bool:
    """Put parts in a slice's place, if it is still held as it was; tell whether it was."""
    documents, update = [], None
    for each in parts:
        each._slices = job.input
        stored = each.to_document()
        if each.id == slice_.id:
            del stored["_id"]
            update = {"$set": stored, "$unset": RELEASED}
        else:
            documents.append({"collection": job.input.name, "document": stored})
    return _note(job, slice_, documents, update, [])


def _note(
    job: Batch, slice_: Slice, documents: list[Any], update: Update | None, counts: list[Any]
) -> bool:
    note = {"documents": documents, "statistics": counts, "update": _as_list(update)}
    change: dict[str, Any] = {"$set": {FIELD: note}}
    if update is None:
        change["$unset"] = {"records": ""}  # they are done: room for what they gave
    if not job.input.collection.update_one(claim_guard(slice_), change).matched_count:
        return False
    carry_out(job, slice_, note)
    return True


def noted(inputs: InputSlices, slice_: Slice) -> Stored | None:
    """Return the note in a slice that somebody has left, if there is one."""
    if inputs.store.supports_transactions:
        return None
    found = inputs.collection.find_one({**claim_guard(slice_), FIELD: {"$exists": True}})
    return None if found is None else found[FIELD]


def carry_out(job: Batch, slice_: Slice, note: Stored) -> bool:
    """Store what a note says, however often that was begun; tell whether it was ended here."""
    inputs = job.input
    for each in note["documents"]:
        stored = dict(each["document"])
        id = stored.pop("_id")
        inputs.store.collection(each["collection"]).update_one(
            {"_id": id}, {"$set": stored}, upsert=True
        )
    if note["statistics"]:
        _count(job, f"{slice_.id}.{slice_.claim_number}", dict(note["statistics"]))
    return _end(inputs, claim_guard(slice_), _as_update(note["update"]))


def _end(inputs: InputSlices, guard: Any, update: Update | None) -> bool:
    if update is None:
        return bool(inputs.collection.delete_one(guard).deleted_count)
    update = {**update, "$unset": {**update.get("$unset", {}), FIELD: ""}}
    return bool(inputs.collection.update_one(guard, update).matched_count)


def _count(job: Batch, claim: str, statistics: dict[str, int]) -> None:
    current().store.collection(job.collection_name).update_one(
        {"_id": job.id, COUNTED: {"$ne": claim}},
        {
            "$inc": {f"statistics.{key}": count for key, count in statistics.items()},
            "$push": {COUNTED: {"$each": [claim], "$slice": -COUNTED_LAST}},
        },
    )


def _as_list(update: Update | None) -> list[Any] | None:
    """Return an update as it can be stored: names of fields may not begin with a dollar sign."""
    return None if update is None else [[key, value] for key, value in update.items()]


def _as_update(stored: list[Any] | None) -> Update | None:
    return None if stored is None else {key: value for key, value in stored}
