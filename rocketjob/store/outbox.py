"""Units of work on a store without transactions.

The guarded write of a unit also notes in its document what is to follow. That is then stored, and
the note is removed. Whoever dies in between leaves a note, and `recover` finishes it.

A document that is inserted in this way could have been used and be gone before somebody who is
late stores it a second time. So it is stored hidden (see `Insert.hidden`), under a token of whoever
stores it; then the note says whose token counts, once and for all; only then is it shown, and last
of all the note removed. What is hidden under a token that does not count came too late, and is
removed again.

Where notes may be is noted too, in a collection of the outbox. What a note says, and how, is in
`rocketjob.store.notes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import is_duplicate_key, refused_at
from rocketjob.base.log import Logger
from rocketjob.store.indexes import is_made
from rocketjob.store.notes import (
    FIELD,
    HELD,
    JOBS,
    MADE,
    MADE_LAST,
    Note,
    hidden_by,
    is_needed,
    leaving_note,
    note_of,
    of_note,
    pairs,
    token_of,
    unpacked,
    while_undecided,
    writes_of,
)
from rocketjob.store.port import Collection, Store
from rocketjob.store.transacted import made_along, may_be_left_out, write_guards
from rocketjob.store.unit import (
    Also,
    Committed,
    Filter,
    Insert,
    Stored,
    Unit,
    Units,
    decided,
)

log = Logger("rocketjob.outbox")
COLLECTION = "rocket_job.outbox"  # the names of the other collections in which notes may be
PATIENCE = timedelta(seconds=60)  # whoever wrote the note has it done long before
REGISTERED_FOR = timedelta(hours=1)


def indexes_of_notes() -> list[dict[str, Any]]:
    """Return the indexes by which notes and hidden documents are found."""
    return [
        {
            "keys": [(f"{field}.at", 1)],
            "name": name,
            "partialFilterExpression": {f"{field}.at": {"$exists": True}},
        }
        for field, name in ((FIELD, "successors"), (HELD, "hidden"))
    ]


class Outbox:
    """Commits and recovers for a store; see `Store.commit` and `Store.recover`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._registered: dict[str, datetime] = {}

    def indexes(self) -> dict[str, list[dict[str, Any]]]:
        return {JOBS: indexes_of_notes()}

    # --- a unit ------------------------------------------------------------------------------

    def commit(self, units: Units) -> list[Committed]:
        decisions = decided(units)
        if all(unit.is_plain for unit in decisions):
            return [Committed(held) for held in write_guards(self.store, decisions)]
        return [self._commit(unit) for unit in decisions]

    def _commit(self, unit: Unit) -> Committed:
        if unit.write is None:
            return self._commit_new(unit)
        if unit.is_plain:
            return Committed(write_guards(self.store, [unit])[0])
        self._register(unit)
        note = note_of(unit)
        noting = leaving_note(unit.write, unit, note)
        while not self.store.write_many(unit.collection, [noting])[0]:
            earlier = self._earlier(unit.collection, unit.write.filter)
            if earlier is None:
                return Committed(False)
            refused = self.finish(unit.collection, *earlier)
            if earlier[1].get("id") == unit.id:
                return Committed(True, refused)
        return self._follow(unit, unit.write.filter["_id"], note)

    def _commit_new(self, unit: Unit) -> Committed:
        """Insert documents that belong to no guarded write, and what goes along with them."""
        if unit.check is not None:
            unit.check()
        required = [insert for insert in unit.inserts if not insert.optional]
        if len(required) == 1 and (unit.also or len(unit.inserts) > 1):
            return self._insert_noting(required[0], unit)
        self._insert_all(required)
        refused = self._insert_optional(unit.inserts)
        for index, each in enumerate(unit.also):
            self._write_once(Also(*each), f"{unit.id}.{index}")
        return Committed(True, refused)

    def _insert_noting(self, first: Insert, unit: Unit) -> Committed:
        """Insert a document that itself has the note of what is stored along with it."""
        others = [insert for insert in unit.inserts if insert is not first]
        unit = attrs.evolve(unit, collection=first.collection, inserts=others)
        self._register(unit)
        note, owner = note_of(unit), first.document["_id"]
        owners = self.store.collection(first.collection)
        owners.insert_one({**first.document, FIELD: note})
        try:
            return Committed(True, self.finish(first.collection, owner, note))
        except Exception as error:
            if not self.store.is_transient(error):
                owners.delete_one(of_note(owner, note))
                raise
            log.warning("what belongs to a document follows later", id=str(owner), error=str(error))
            return Committed(True, complete=False)

    def remove(self, collection: str, filter: Filter) -> bool:
        """Remove a document, once all that was noted in it is stored; return whether it was there.

        The note would go with it, and what it was to show be taken for something that came too
        late. So a store with an outbox removes what may have a note in this way only.
        """
        documents = self.store.collection(collection)
        while not documents.delete_one({**filter, FIELD: {"$exists": False}}).deleted_count:
            earlier = self._earlier(collection, filter)
            if earlier is None:
                return False
            self.finish(collection, *earlier)
        return True

    def _earlier(self, collection: str, filter: Filter) -> tuple[Any, Note] | None:
        """Return the note of another unit that is in the way of a write, with its document's id."""
        noted = {**filter, FIELD: {"$exists": True}}
        stored = self.store.collection(collection).find_one(noted, {FIELD: 1})
        return None if stored is None else (stored["_id"], stored[FIELD])

    def _follow(self, unit: Unit, owner: Any, note: Note) -> Committed:
        """Store what a note says that was just written."""
        try:
            if unit.check is not None:
                unit.check()  # only now: the document as it was may have been in the way
            refused = self.finish(unit.collection, owner, note)
        except Exception as error:
            if unit.undo is not None and self.withdraw(unit.collection, owner, note):
                raise
            log.warning("what belongs to a change follows later", id=str(owner), error=str(error))
            return Committed(True, complete=False)
        if unit.undo is not None:
            for insert in unit.inserts:
                if not insert.optional and insert.document["_id"] in refused:
                    raise refused[insert.document["_id"]]
        return Committed(True, refused)

    def _insert_all(self, inserts: Sequence[Insert]) -> None:
        """Insert documents that belong to no guarded write; one that is refused removes all."""
        groups: dict[str, list[Stored]] = {}
        for insert in inserts:
            groups.setdefault(insert.collection, []).append(insert.document)
        done: list[tuple[str, list[Any]]] = []
        for name, documents in groups.items():
            try:
                self.store.collection(name).insert_many(documents)
            except Exception as error:
                before = documents[: refused_at(error)]
                done.append((name, [insert["_id"] for insert in before]))
                for other, ids in done:
                    self.store.collection(other).delete_many({"_id": {"$in": ids}})
                raise
            done.append((name, [insert["_id"] for insert in documents]))

    def _insert_optional(self, inserts: Sequence[Insert]) -> dict[Any, Exception]:
        refused: dict[Any, Exception] = {}
        for insert in inserts:
            if insert.optional:
                try:
                    self.store.collection(insert.collection).insert_one(insert.document)
                except Exception as error:
                    if not is_duplicate_key(error):
                        raise
                    refused[insert.document["_id"]] = error
        return refused

    def _register(self, unit: Unit) -> None:
        """Note where this unit may leave something, before it does."""
        names = {unit.collection, *(insert.collection for insert in unit.inserts if insert.hidden)}
        now = clock.now()
        for name in names - {JOBS}:
            at = self._registered.get(name)
            if at is not None and at > now - REGISTERED_FOR:
                continue
            collection = self.store.collection(name)
            present = collection.index_information()
            for spec in indexes_of_notes():
                if not is_made(present, spec):
                    collection.create_index(**spec)
            self.store.collection(COLLECTION).update_one(
                {"_id": name}, {"$set": {"at": now}}, upsert=True
            )
            self._registered[name] = now

    # --- a note ------------------------------------------------------------------------------

    def finish(self, collection: str, owner: Any, note: Note) -> dict[Any, Exception]:
        """Store what a note says, and remove it; return what unique indexes refused, by id.

        Args:
            owner: the id of the document that has the note.
        """
        owners, refused = self.store.collection(collection), dict[Any, Exception]()
        if "counts" not in note:
            token = ObjectId()
            by = {"in": collection, "of": owner, "token": token}
            held = [self._insert(by, note, each) for each in note["documents"]]
            for each, whose in pairs(note, held):
                if isinstance(whose, Exception):
                    refused[each["document"]["_id"]] = whose
            if note["undo"] is not None and any(is_needed(note, id) for id in refused):
                self.withdraw(collection, owner, note)
                self._remove_inserted(note, held)
                return refused
            if any(hidden_by(each) for each in note["documents"]):
                decision = self._decide(owners, owner, note, held)
                if decision is None or token not in decision["counts"]:
                    self._discard(note, {f"{HELD}.token": token})  # others have finished, or do
                if decision is None:
                    return refused
                note = decision
        for each, whose in pairs(note, note["counts"]) if "counts" in note else ():
            if whose:
                self._show(each, whose)
        for index, along in enumerate(writes_of(note)):
            self._write_once(along, f"{note['id']}{f'.{index}' if index else ''}")
        self._end(owners, owner, note)
        return refused

    def withdraw(self, collection: str, owner: Any, note: Note) -> bool:
        """Take a change back together with its note; False if what it names is stored already."""
        undo = {key: dict(value) for key, value in note["undo"]}
        undo["$unset"] = {**undo.get("$unset", {}), FIELD: ""}
        owners, undecided = self.store.collection(collection), while_undecided(owner, note)
        try:
            done = owners.update_one(undecided, undo)
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            # Another document has taken this one's place: it stays.
            done = owners.update_one(undecided, {"$unset": {FIELD: ""}})
        if done.matched_count:
            self._discard(note, {f"{HELD}.of": owner, f"{HELD}.at": note["at"]})
        return bool(done.matched_count)

    def _insert(self, by: Mapping[str, Any], note: Note, entry: Mapping[str, Any]) -> Any:
        """Store a document.

        Returns:
            whose token hides it, None for nobody's, True if it was stored by this call and is
            visible, or the refusal.
        """
        stored, collection = dict(entry["document"]), self.store.collection(entry["collection"])
        if entry.get("replaces"):
            id = stored.pop("_id")
            collection.update_one({"_id": id}, {"$set": stored}, upsert=True)
            return None
        hidden = hidden_by(entry)
        if hidden:
            stored.update(hidden)
            stored[HELD] = {**by, "at": note["at"]}
        for _ in range(2):
            try:
                collection.insert_one(stored)
                return by["token"] if hidden else True
            except Exception as error:
                if not is_duplicate_key(error):
                    raise
                refusal = error
            present = collection.find_one({"_id": stored["_id"]}, {HELD: 1})
            if present is not None:
                return present.get(HELD, {}).get("token")
            # An earlier note of this document may have been given up, with what it hid in the way.
            earlier = {f"{HELD}.at": {"$exists": True, "$ne": note["at"]}, f"{HELD}.of": by["of"]}
            if not collection.delete_many(earlier).deleted_count:
                break
        return refusal

    def _decide(
        self, owners: Collection, owner: Any, note: Note, held: Sequence[Any]
    ) -> Stored | None:
        """Say in the note whose tokens count, unless that is said; return it, None if gone."""
        decision = {"$set": {f"{FIELD}.counts": [token_of(whose) for whose in held]}}
        undecided = while_undecided(owner, note)
        stored = owners.find_one_and_update(undecided, decision, return_document=True)
        stored = stored or owners.find_one(of_note(owner, note))
        return None if stored is None else stored[FIELD]

    def _show(self, entry: Mapping[str, Any], token: ObjectId) -> None:
        document, hidden = entry["document"], hidden_by(entry)
        shown = {key: document[key] for key in hidden if document.get(key) is not None}
        unset = {HELD: "", **dict.fromkeys((key for key in hidden if key not in shown), "")}
        guard = {"_id": document["_id"], f"{HELD}.token": token}
        update = {"$set": shown, "$unset": unset} if shown else {"$unset": unset}
        self.store.collection(entry["collection"]).update_one(guard, update)

    def _write_once(self, each: Also, token: str) -> None:
        filter, update = each.write
        if update is not None:
            made = {MADE: {"$each": [token], "$slice": -MADE_LAST}}
            update = {**update, "$push": {**update.get("$push", {}), **made}}
            filter = {"$and": [filter, {MADE: {"$ne": token}}]}
        try:
            made_along(self.store, each, filter, update)
        except Exception as error:
            if not may_be_left_out(self.store, each, error):
                raise

    def _end(self, owners: Collection, owner: Any, note: Note) -> None:
        """Make the guarded write if it is still to be made, and remove the note."""
        guard = of_note(owner, note)
        if note["remove"]:
            owners.delete_one(guard)
            return
        update = dict(unpacked(note["write"])) if note.get("write") is not None else {}
        owners.update_one(guard, {**update, "$unset": {**update.get("$unset", {}), FIELD: ""}})

    def _discard(self, note: Note, whose: Filter) -> None:
        """Remove documents of a note that are hidden by somebody."""
        for name in {entry["collection"] for entry in note["documents"] if hidden_by(entry)}:
            ids = [e["document"]["_id"] for e in note["documents"] if e["collection"] == name]
            self.store.collection(name).delete_many({"_id": {"$in": ids}, **whose})

    def _remove_inserted(self, note: Note, held: Sequence[Any]) -> None:
        for entry, whose in pairs(note, held):
            if whose is True:
                self.store.collection(entry["collection"]).delete_one(
                    {"_id": entry["document"]["_id"]}
                )

    # --- what the dead left --------------------------------------------------------------------

    def recover(self, collection: str | None = None, filter: Filter | None = None) -> int:
        if collection is not None:
            noted = {"$and": [dict(filter or {}), {FIELD: {"$exists": True}}]}
            owners = list(self.store.collection(collection).find(noted, {FIELD: 1}))
            for stored in owners:
                self.finish(collection, stored["_id"], stored[FIELD])
            return len(owners)
        late = {"$lt": clock.now() - PATIENCE}
        return sum(self._recover_in(name, late) for name in self._collections())

    def _collections(self) -> list[str]:
        registry = self.store.collection(COLLECTION)
        found = list(registry.find({}))
        long_ago = clock.now() - 2 * REGISTERED_FOR
        gone: set[str] = set()
        if any(each["at"] < long_ago for each in found):
            present = set(self.store.collection_names())
            gone = {each["_id"] for each in found if each["_id"] not in present}
            registry.delete_many({"_id": {"$in": list(gone)}, "at": {"$lt": long_ago}})
        return [JOBS, *(each["_id"] for each in found if each["_id"] not in gone)]

    def _recover_in(self, name: str, late: Mapping[str, datetime]) -> int:
        collection = self.store.collection(name)
        noted = list(collection.find({f"{FIELD}.at": late}, {FIELD: 1}))
        for stored in noted:
            try:
                self.finish(name, stored["_id"], stored[FIELD])
            except Exception as error:
                if self.store.is_transient(error):
                    raise
                log.exception("a change cannot be finished", of=name, id=str(stored["_id"]))
            else:
                log.warning("finished a change", of=name, id=str(stored["_id"]))
        for stored in list(collection.find({f"{HELD}.at": late}, {HELD: 1})):
            self._discard_late(collection, stored["_id"], stored[HELD])
        return len(noted)

    def _discard_late(self, collection: Collection, id: Any, held: Mapping[str, Any]) -> None:
        """Remove what is hidden and was never to be shown: the one that counts was, before."""
        owners = self.store.collection(held["in"])
        stored = owners.find_one(of_note(held["of"], held), {FIELD: 1})
        note = None if stored is None else stored[FIELD]
        if note is None or ("counts" in note and held["token"] not in note["counts"]):
            collection.delete_one({"_id": id, f"{HELD}.token": held["token"]})
