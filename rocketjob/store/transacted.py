"""What stores with transactions have in common; above all `commit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from rocketjob.base.errors import is_conflict, is_duplicate_key
from rocketjob.base.log import Logger
from rocketjob.store.lease import NOT_NEEDED
from rocketjob.store.port import Lease, Store, atomically
from rocketjob.store.unit import (
    Also,
    Committed,
    Filter,
    Insert,
    Stored,
    Unit,
    Units,
    Write,
    decided,
)

log = Logger("rocketjob.store")


def commit_in_transaction(store: Store, units: Units) -> list[Committed]:
    """Commit units in one transaction of the store; see `Store.commit`."""
    if not callable(units) and all(unit.is_plain for unit in units):
        return [Committed(held) for held in write_guards(store, units)]
    attempt = _Attempt(store, units)
    while True:
        try:
            return atomically(store, attempt.make)
        except Exception as error:
            if not attempt.leaves_out(error):
                raise


class Transacted:
    """What a store with transactions inherits: each unit is a transaction, and nothing is left."""

    def commit(self, units: Units) -> list[Committed]:
        """Store units in one transaction."""
        return commit_in_transaction(cast(Store, self), units)

    def recover(self, collection: str | None = None, filter: Filter | None = None) -> int:
        """Finish what dead processes left: a transaction leaves nothing."""
        return 0

    def lease(self, key: str) -> AbstractContextManager[Lease]:
        """Keep others out of a block: transactions do."""
        return nullcontext(NOT_NEEDED)

    def indexes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the indexes that the store itself needs: none."""
        return {}


def write_guards(store: Store, units: Sequence[Unit], session: Any = None) -> list[bool]:
    """Make the guarded writes, those of one collection in one go; return which guards held."""
    held = [True] * len(units)
    for name in dict.fromkeys(unit.collection for unit in units if unit.write is not None):
        of_it = [i for i, unit in enumerate(units) if unit.collection == name and unit.write]
        writes = [unit.write for unit in units if unit.collection == name and unit.write]
        results = store.write_many(name, writes, session=session)
        for index, matched in zip(of_it, results, strict=True):
            held[index] = matched
    return held


def made_along(store: Store, each: Also, filter: Any, update: Any, session: Any = None) -> None:
    """Make a write that goes with a unit."""
    collection = store.collection(each.collection)
    if update is None:
        delete = collection.delete_many if each.many else collection.delete_one
        delete(filter, session=session)
    else:
        write = collection.update_many if each.many else collection.update_one
        write(filter, update, session=session)


def may_be_left_out(store: Store, each: Also, error: Exception) -> bool:
    """Return whether a unit goes without a write that the store has refused; say so in the log."""
    if not each.whose or is_conflict(error) or store.is_transient(error):
        return False
    problem = f"{type(error).__name__}: {error}"
    log.error(
        "a write that goes with a change is left out: the store refuses it",
        whose=each.whose,
        collection=each.collection,
        error=problem,
    )
    return True


class _Attempt:
    """Units being stored in a transaction, again without what may be left out and was refused.

    An error ends a transaction on some databases: so the whole of it is made again.
    """

    def __init__(self, store: Store, units: Units) -> None:
        self.store, self.units = store, units
        self.refused: dict[Any, Exception] = {}
        self._left_out: list[Also] = []
        self._trying: Insert | Also | None = None

    def make(self, session: Any) -> list[Committed]:
        self._trying, self._session = None, session
        units = decided(self.units)
        held = write_guards(self.store, units, session)
        ours = [unit for unit, holds in zip(units, held, strict=True) if holds]
        for unit in ours:
            if unit.check is not None:
                unit.check()
        self._insert([insert for unit in ours for insert in unit.inserts])
        self._write_along([write for unit in ours for write in unit.also])
        return [
            Committed(holds, self._refused_of(unit) if holds else {})
            for unit, holds in zip(units, held, strict=True)
        ]

    def leaves_out(self, error: Exception) -> bool:
        """Leave what was being tried out of the next attempt, if that is allowed."""
        tried = self._trying
        if isinstance(tried, Also):
            if not may_be_left_out(self.store, tried, error):
                return False
            self._left_out.append(tried)
            return True
        if tried is None or not is_duplicate_key(error):
            return False
        id = tried.document["_id"]
        if id in self.refused:
            return False
        self.refused[id] = error
        return True

    def _refused_of(self, unit: Unit) -> Mapping[Any, Exception]:
        ids = [insert.document["_id"] for insert in unit.inserts] if self.refused else ()
        return {id: self.refused[id] for id in ids if id in self.refused}

    def _insert(self, inserts: Sequence[Insert]) -> None:
        groups: dict[str, list[Stored]] = {}
        replaced: dict[str, list[Any]] = {}
        for insert in inserts:
            if not insert.optional:
                groups.setdefault(insert.collection, []).append(insert.document)
            if insert.replaces:
                replaced.setdefault(insert.collection, []).append(insert.document["_id"])
        for name, ids in replaced.items():
            self._collection(name).delete_many({"_id": {"$in": ids}}, session=self._session)
        for name, documents in groups.items():
            self._collection(name).insert_many(documents, session=self._session)
        for insert in inserts:
            if insert.optional and insert.document["_id"] not in self.refused:
                self._trying = insert
                self._collection(insert.collection).insert_one(
                    insert.document, session=self._session
                )
        self._trying = None

    def _write_along(self, also: Iterable[tuple[str, Write] | Also]) -> None:
        for each in _added_up(Also(*each) for each in also):
            if each in self._left_out:
                continue
            self._trying = each
            made_along(self.store, each, *each.write, session=self._session)
        self._trying = None

    def _collection(self, name: str) -> Any:
        return self.store.collection(name)


def _added_up(also: Iterable[Also]) -> list[Also]:
    """Return the writes, with those that only count for the same document made one."""
    writes: list[Also] = []
    sums: dict[str, dict[str, Any]] = {}
    for each in also:
        name, write = each.collection, each.write
        if each.whose or each.many or write.update is None or set(write.update) != {"$inc"}:
            writes.append(each)
            continue
        key = f"{name} {write.filter!r}"
        if key not in sums:
            sums[key] = {}
            writes.append(Also(name, Write(write.filter, {"$inc": sums[key]})))
        for field, count in write.update["$inc"].items():
            sums[key][field] = sums[key].get(field, 0) + count
    return writes
