"""Notes: what an outbox leaves in a document, of what is to follow the document's own write.

The names of the fields, and what a note says of jobs, are those of the first version: notes that it
left are finished like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import Binary, ObjectId

from rocketjob.base import clock
from rocketjob.store.packing import pack, unpack
from rocketjob.store.unit import NEVER, Also, Insert, Unit, Write

FIELD = "_successors"  # the note
HELD = "_held"  # by whom a new document is hidden
MADE = "_counted"  # the units whose `also` was made in a document, the last ones
MADE_LAST = 1000
JOBS = "rocket_job.jobs"

Note = Mapping[str, Any]


def note_of(unit: Unit) -> dict[str, Any]:
    """Return what is noted of a unit, in the document that it writes or inserts."""
    write = unit.write or Write({}, {})
    last = unit.interim is not None and write.update is not None
    return {
        "at": clock.now(),
        "id": unit.id,
        "remove": write.update is None,
        "write": _pack(write.update or {}) if last else None,
        "undo": None if unit.undo is None else [[key, value] for key, value in unit.undo.items()],
        "documents": [_noted_insert(insert) for insert in unit.inserts],
        "also": [_noted_write(Also(*each)) for each in unit.also],
    }


def _noted_insert(insert: Insert) -> dict[str, Any]:
    return {
        "collection": insert.collection,
        "document": insert.document,
        "hidden": dict(insert.hidden),
        "optional": insert.optional,
        "replaces": insert.replaces,
    }


def _noted_write(each: Also) -> list[Any]:
    """Return what is noted of a write: two items as ever, and a third one if there is more."""
    more = {"many": each.many, "whose": each.whose}
    noted = [each.collection, _pack(each.write._asdict())]
    return [*noted, more] if any(more.values()) else noted


def leaving_note(write: Write, unit: Unit, note: Note) -> Write:
    """Return the guarded write that leaves a note and what is visible first."""
    first = write.update if unit.interim is None else unit.interim
    update = dict(first or {})
    update["$set"] = {**update.get("$set", {}), FIELD: note}
    return Write({**write.filter, FIELD: {"$exists": False}}, update)


def _pack(value: Mapping[str, Any]) -> Binary:
    """Return what can be stored of filters and updates: names there begin with a dollar sign."""
    return Binary(pack(value))


def unpacked(stored: bytes) -> dict[str, Any]:
    return unpack(stored)


def writes_of(note: Note) -> list[Also]:
    return [
        Also(name, Write(**unpacked(packed)), **(more[0] if more else {}))
        for name, packed, *more in note.get("also", ())
    ]


def hidden_by(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what hides a document; the first version did not say so, and hid queued jobs."""
    if "hidden" in entry:
        hidden: Mapping[str, Any] = entry["hidden"]
        return hidden
    is_queued = entry["collection"] == JOBS and entry["document"].get("state") == "queued"
    return {"run_at": NEVER} if is_queued else {}


def is_needed(note: Note, id: Any) -> bool:
    """Return whether the change is withdrawn without a document."""
    return any(
        entry["document"]["_id"] == id and not entry.get("optional", False)
        for entry in note["documents"]
    )


def of_note(owner: Any, note: Note) -> dict[str, Any]:
    return {"_id": owner, f"{FIELD}.at": note["at"]}


def while_undecided(owner: Any, note: Note) -> dict[str, Any]:
    return {**of_note(owner, note), f"{FIELD}.counts": {"$exists": False}}


def pairs(note: Note, other: Sequence[Any]) -> list[tuple[Mapping[str, Any], Any]]:
    return list(zip(note["documents"], other, strict=True))


def token_of(whose: Any) -> ObjectId | None:
    return whose if isinstance(whose, ObjectId) else None
