"""A change of a job and what is created with it, as one step, on stores without transactions.

The guarded write of the job also notes in its document what is to be created. That is then stored,
each under its own `_id`, and the note is removed. Whoever dies in between leaves a note, and every
server's sweep finishes it.

A job that is created in this way could have run and be gone before somebody who is late stores it
a second time. So it is stored held back, for a time that never comes, under a token of whoever
stores it; then the note says whose token counts, once and for all; only then is it let go, and
last of all the note removed. What is held under a token that does not count came too late, and is
removed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import is_duplicate_key
from rocketjob.base.log import Logger
from rocketjob.model.bulk import raise_duplicate
from rocketjob.model.record import Changes, record_of
from rocketjob.store import Collection, Store, Stored, Update, Write

if TYPE_CHECKING:
    from rocketjob.model.document import Document

log = Logger("rocketjob.successors")
FIELD = "_successors"  # the note
HELD = "_held"  # by whom a new job is held back
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
JOBS = "rocket_job.jobs"
PATIENCE = timedelta(seconds=60)  # whoever wrote the note has it done long before
INDEXES: dict[str, list[dict[str, Any]]] = {
    JOBS: [
        {
            "keys": [(f"{field}.at", 1)],
            "name": name,
            "partialFilterExpression": {f"{field}.at": {"$exists": True}},
        }
        for field, name in ((FIELD, "successors"), (HELD, "held"))
    ]
}


def make_note(
    documents: Mapping[Document, Stored], *, remove: bool = False, undo: Update | None = None
) -> dict[str, Any]:
    """Return the note of what is to be created.

    Args:
        remove: whether the job is removed in the end.
        undo: the update that takes the job's change back, if one of the documents is refused;
            without it the others are created all the same.
    """
    return {
        "at": clock.now(),
        "remove": remove,
        "undo": None if undo is None else [[key, value] for key, value in undo.items()],
        "documents": [
            {"collection": document.collection_name, "document": stored}
            for document, stored in documents.items()
        ],
    }


def noted(write: Write, set: Mapping[str, Any], documents: Mapping[Document, Stored]) -> Write:
    """Return the write that ends a job, with a note of what is to be created.

    Args:
        write: of the change; one that deletes the job becomes an update, and the note says so.
        set: what the change sets.
    """
    update = dict(write.update or {})
    update["$set"] = {**set, FIELD: make_note(documents, remove=write.update is None)}
    return Write(write.filter, update)


def save_with(store: Store, job: Any, other: Document) -> None:
    """Save a job with a note of another document, then create that; see `Job.save_with`.

    Raises:
        ValidationError: the other one is not valid; what was stored of the job is taken back.
    """

    def create() -> None:
        stored = other.to_document()
        record = record_of(job)

        def note_of(changes: Changes) -> dict[str, Any]:
            undo = update_back(record.stored or {}, (*changes[0], *changes[1]))
            return {FIELD: make_note({other: stored}, undo=undo)}

        record.also_set = note_of
        try:
            job.save(validate=False)
        finally:
            record.also_set = None
        note = (record.stored or {}).pop(FIELD)
        try:
            other.validate()  # only now: the job as it was may have been in the way
            refused = finish(store, job.id, note)
        except Exception:
            if withdraw(store, job.id, note):
                raise
            refused = {}  # it is created, or will be by a sweep
        for error in refused.values():
            raise_duplicate(other, error)
            raise error
        record_of(other).was_stored(stored)

    other.chain("save").run(other, lambda: other.chain("create").run(other, create))


def finish(
    store: Store, owner_id: Any, note: Mapping[str, Any], collection: str = JOBS
) -> dict[Any, Exception]:
    """Create what a note names, and remove it; return what unique indexes refused, by id.

    Args:
        owner_id: of the document that has the note.
        collection: where that is.
    """
    owners, owner = store.collection(collection), {"in": collection, "of": owner_id}
    refused: dict[Any, Exception] = {}
    if "counts" not in note:
        token = ObjectId()
        held = [_hold(store, {**owner, "token": token}, note, each) for each in note["documents"]]
        for each, whose in _pairs(note, held):
            if isinstance(whose, Exception):
                refused[each["document"]["_id"]] = whose
        if refused and note["undo"] is not None:
            withdraw(store, owner_id, note)
            return refused
        present = _decide(owners, owner_id, note, held)
        if present is None or token not in present["counts"]:
            _discard(store, note, {f"{HELD}.token": token})  # others have finished, or do
        if present is None:
            return refused
        note = present
    for each, whose in _pairs(note, note["counts"]):
        if whose:
            _let_go(store, each, whose)
    if note["remove"]:
        owners.delete_one(_mine(owner_id, note))
    else:
        owners.update_one(_mine(owner_id, note), {"$unset": {FIELD: ""}})
    return refused


def finish_or_leave(store: Store, job_id: Any, note: Mapping[str, Any]) -> dict[Any, Exception]:
    """Finish a note of a change that is made already: an error leaves it to the next sweep."""
    try:
        return finish(store, job_id, note)
    except Exception as error:
        log.warning("what follows a job is created later", job_id=str(job_id), error=str(error))
        return {}


def withdraw(store: Store, job_id: Any, note: Mapping[str, Any]) -> bool:
    """Take a change back together with its note; False if what it names is created already."""
    undo = {key: dict(value) for key, value in note["undo"]}
    undo["$unset"] = {**undo.get("$unset", {}), FIELD: ""}
    jobs, mine = store.collection(JOBS), _undecided(job_id, note)
    try:
        done = jobs.update_one(mine, undo)
    except Exception as error:
        if not is_duplicate_key(error):
            raise
        # Somebody has taken the job's place meanwhile: it stays without it.
        done = jobs.update_one(mine, {"$unset": {FIELD: ""}})
    if done.matched_count:
        _discard(store, note, {f"{HELD}.of": job_id, f"{HELD}.at": note["at"]})
    return bool(done.matched_count)


def update_back(stored: Mapping[str, Any], keys: Iterable[str]) -> Update:
    """Return the update that gives fields the values again that are stored now."""
    there = {key: stored[key] for key in keys if key in stored}
    gone = dict.fromkeys((key for key in keys if key not in stored), "")
    return {name: part for name, part in (("$set", there), ("$unset", gone)) if part}


def finish_all(store: Store, patience: timedelta = PATIENCE) -> int:
    """Finish what processes that died have left; return how many jobs were concerned."""
    if store.supports_transactions:
        return 0
    late, jobs = {"$lt": clock.now() - patience}, store.collection(JOBS)
    noted: Sequence[Stored] = list(jobs.find({f"{FIELD}.at": late}, {FIELD: 1}))
    for stored in noted:
        try:
            finish(store, stored["_id"], stored[FIELD])
        except Exception as error:
            if store.is_transient(error):
                raise
            log.exception("what follows a job cannot be created", job_id=str(stored["_id"]))
        else:
            log.warning("created what a job that ended was to leave", job_id=str(stored["_id"]))
    for stored in list(jobs.find({f"{HELD}.at": late}, {HELD: 1})):
        _discard_late(store, stored["_id"], stored[HELD])
    return len(noted)


# --- steps ---------------------------------------------------------------------------------------


def _mine(owner_id: Any, note: Mapping[str, Any]) -> dict[str, Any]:
    return {"_id": owner_id, f"{FIELD}.at": note["at"]}


def _undecided(owner_id: Any, note: Mapping[str, Any]) -> dict[str, Any]:
    return {**_mine(owner_id, note), f"{FIELD}.counts": {"$exists": False}}


def _pairs(note: Mapping[str, Any], other: Sequence[Any]) -> list[tuple[Mapping[str, Any], Any]]:
    return list(zip(note["documents"], other, strict=True))


def _hold(store: Store, by: Mapping[str, Any], note: Mapping[str, Any], each: Any) -> Any:
    """Store a document; return whose token holds it back, None for nobody's, or the refusal."""
    stored, collection = dict(each["document"]), store.collection(each["collection"])
    may_run = each["collection"] == JOBS and stored.get("state") == "queued"
    if may_run:
        stored[HELD] = {**by, "at": note["at"]}
        stored["run_at"] = NEVER
    for _ in range(2):
        try:
            collection.insert_one(stored)
            return by["token"] if may_run else None
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            refusal = error
        there = collection.find_one({"_id": stored["_id"]}, {HELD: 1})
        if there is not None:
            return there.get(HELD, {}).get("token")
        # An earlier note of this job may have been given up, with what it held back in the way.
        others = {f"{HELD}.at": {"$exists": True, "$ne": note["at"]}, f"{HELD}.of": by["of"]}
        if not store.collection(JOBS).delete_many(others).deleted_count:
            break
    return refusal


def _decide(
    owners: Collection, owner_id: Any, note: Mapping[str, Any], held: list[Any]
) -> dict[str, Any] | None:
    """Say in the note whose tokens count, unless that is said; return the note, None if gone."""
    decision = {"$set": {f"{FIELD}.counts": [_token(whose) for whose in held]}}
    undecided = _undecided(owner_id, note)
    stored = owners.find_one_and_update(undecided, decision, return_document=True)
    stored = stored or owners.find_one(_mine(owner_id, note))
    return None if stored is None else stored[FIELD]


def _token(whose: Any) -> ObjectId | None:
    return whose if isinstance(whose, ObjectId) else None


def _let_go(store: Store, each: Mapping[str, Any], token: ObjectId) -> None:
    run_at = each["document"].get("run_at")
    update: dict[str, Any] = {"$unset": {HELD: ""}}
    if run_at is None:
        update["$unset"]["run_at"] = ""
    else:
        update["$set"] = {"run_at": run_at}
    held = {"_id": each["document"]["_id"], f"{HELD}.token": token}
    store.collection(JOBS).update_one(held, update)


def _discard(store: Store, note: Mapping[str, Any], whose: Mapping[str, Any]) -> None:
    ids = [each["document"]["_id"] for each in note["documents"]]
    store.collection(JOBS).delete_many({"_id": {"$in": ids}, **whose})


def _discard_late(store: Store, id: Any, held: Mapping[str, Any]) -> None:
    """Remove what is held back and was never to be let go: the one that counts was, before."""
    stored = store.collection(held["in"]).find_one(_mine(held["of"], held), {FIELD: 1})
    note = None if stored is None else stored[FIELD]
    if note is None or ("counts" in note and held["token"] not in note["counts"]):
        store.collection(JOBS).delete_one({"_id": id, f"{HELD}.token": held["token"]})
