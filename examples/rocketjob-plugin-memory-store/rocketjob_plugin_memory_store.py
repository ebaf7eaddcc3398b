"""A store in the memory of one process, for the URL `memory:`.

    with rocketjob.testing.sandbox("memory:") as made: ...

It is for tests, and an example of a store: dicts, one lock, and a list of what undoes the
transaction that is under way. Whoever opens it has a store of its own, which ends with the process;
so servers refuse it. Documents that are stored are never changed, only replaced, and those that are
handed out are copies.

A filter is tried on every document, unless it names an `_id`: that does for some ten thousand.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from bson import ObjectId

from rocketjob import hookimpl
from rocketjob.base.errors import StoreError
from rocketjob.base.interrupt import Interrupt
from rocketjob.store import Capabilities, Counted, Filter, Sort, Stored, Update, Write, documents
from rocketjob.store.changes import ChangeCounter
from rocketjob.store.documents import Deleted, InsertedMany, InsertedOne, Updated, Updater
from rocketjob.store.transacted import Transacted

URL = "memory:"
Undo = Callable[[], object]
Key = tuple[Any, ...]  # `sort_key` of an _id: equal keys are equal ids


class Index(documents.Index):
    """A declared index; a unique one knows who has which values."""

    def __init__(self, definition: dict[str, Any]) -> None:
        super().__init__(definition)
        self.definition = definition
        self.owners: dict[Key, Key] = {}

    def key(self, document: Stored | None) -> Key | None:
        """Return what must be unique of a document; None if nothing must."""
        values = self.values(document) if document is not None and self.unique else None
        return None if values is None else tuple(documents.sort_key(value) for value in values)


class Table:
    """The documents of a collection by their ids, and its indexes by their names."""

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.documents: dict[Key, Stored] = {}
        self.indexes: dict[str, Index] = {}

    def put(self, id: Key, new: Stored | None) -> Undo:
        """Store a document in the place of what has its id, or remove it; return what undoes it.

        Raises:
            DuplicateKey: a unique index refuses it, and nothing was changed.
        """
        old = self.documents.get(id)
        keys = [(index, index.key(old), index.key(new)) for index in self.indexes.values()]
        for index, _, key in keys:
            if new is not None and key is not None and index.owners.get(key, id) != id:
                raise index.refusal(self.collection, new)
        for index, former, _ in keys:
            if former is not None:
                del index.owners[former]
        for index, _, key in keys:
            if key is not None:
                index.owners[key] = id
        if new is None:
            del self.documents[id]
        else:
            self.documents[id] = new
        return lambda: self.put(id, old)

    def add_index(self, index: Index) -> Undo:
        """Add an index with all documents; return what undoes it.

        Raises:
            DuplicateKey: two documents have the same values.
        """
        for id, document in self.documents.items():
            key = index.key(document)
            if key is not None and index.owners.setdefault(key, id) != id:
                raise index.refusal(self.collection, document)
        self.indexes[index.name] = index
        return lambda: self.indexes.pop(index.name)


class MemoryCollection:
    """A collection of documents, with pymongo's methods; made by its first write."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store, self.name = store, name

    def matching(self, filter: Filter | None, sort: Sort | None = None) -> list[Stored]:
        """Return the stored documents themselves; the lock is held."""
        matches = documents.compile_filter(filter)  # first: a wrong filter is an error anywhere
        table = self._store.tables.get(self.name)
        candidates: Iterable[Stored] = table.documents.values() if table else ()
        id = (filter or {}).get("_id")
        if table is not None and type(id) in (ObjectId, str, int):
            named = table.documents.get(documents.sort_key(id))
            candidates = [] if named is None else [named]
        return documents.in_order([each for each in candidates if matches(each)], sort)

    def _put(self, id: Any, new: Stored | None) -> None:
        table = self._store.table(self.name)
        self._store.undo.append(table.put(documents.sort_key(id), new))

    # Inserting

    def insert_one(self, document: Stored, *, session: Any = None) -> InsertedOne:
        return InsertedOne(self.insert_many([document]).inserted_ids[0])

    def insert_many(
        self, new: Iterable[Stored], ordered: bool = True, *, session: Any = None
    ) -> InsertedMany:
        """Store documents: all, or none if there is an error."""
        normalised = [documents.normalise(documents.with_id(document)) for document in new]
        if not normalised:
            raise StoreError("insert_many needs at least one document")
        with self._store.writing():
            for document in normalised:
                self._insert(document)
        return InsertedMany([document["_id"] for document in normalised])

    def _insert(self, document: Stored) -> None:
        id = document["_id"]
        if documents.sort_key(id) in self._store.table(self.name).documents:
            raise documents.duplicate(self.name, "_id_", {"_id": 1}, {"_id": id})
        self._put(id, document)

    # Finding

    def find(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        *,
        sort: Sort | None = None,
        skip: int = 0,
        limit: int = 0,
        session: Any = None,
    ) -> Iterator[Stored]:
        project = documents.compile_projection(projection)
        with self._store.lock:
            found = self.matching(filter, sort)[abs(skip) :]
        copies = map(documents.copy, found[: abs(limit)] if limit else found)
        return map(project, copies) if project else iter(copies)

    def find_one(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        *,
        sort: Sort | None = None,
        session: Any = None,
    ) -> Stored | None:
        return next(self.find(filter, projection, sort=sort, limit=1), None)

    def count_documents(self, filter: Filter, *, limit: int = 0, session: Any = None) -> int:
        with self._store.lock:
            count = len(self.matching(filter))
        return min(count, limit) if limit else count

    def distinct(self, key: str, filter: Filter | None = None, *, session: Any = None) -> list[Any]:
        with self._store.lock:
            return documents.distinct(self.matching(filter), key)

    # Changing

    def change(self, old: Stored, updater: Updater) -> tuple[Stored, bool]:
        """Replace a stored document; return the new one, and whether it differs."""
        new = documents.copy(old)
        updater.apply(new)
        if documents.encode(new) == documents.encode(old):
            return old, False
        self._put(old["_id"], new)
        return new, True

    def _upsert(self, filter: Filter, updater: Updater) -> Stored:
        document = documents.upserted(filter, updater)
        self._insert(document)
        return document

    def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        *,
        sort: Sort | None = None,
        upsert: bool = False,
        return_document: bool = False,
        session: Any = None,
    ) -> Stored | None:
        updater = documents.compile_update(update)
        before: Stored | None = None
        after: Stored | None = None
        with self._store.writing():
            for before in self.matching(filter, sort)[:1]:
                after, _ = self.change(before, updater)
            if before is None and upsert:
                after = self._upsert(filter, updater)
        returned: Stored | None = documents.copy(after if return_document else before)
        return returned

    def update_one(
        self, filter: Filter, update: Update, upsert: bool = False, *, session: Any = None
    ) -> Updated:
        updater = documents.compile_update(update)
        with self._store.writing():
            for old in self.matching(filter)[:1]:
                return Updated(1, int(self.change(old, updater)[1]))
            return Updated(0, 0, self._upsert(filter, updater)["_id"] if upsert else None)

    def update_many(self, filter: Filter, update: Update, *, session: Any = None) -> Updated:
        updater = documents.compile_update(update)
        with self._store.writing():
            changed = [self.change(old, updater)[1] for old in self.matching(filter)]
            return Updated(len(changed), sum(changed))

    def delete_one(self, filter: Filter, *, session: Any = None) -> Deleted:
        return self._delete(filter, 1)

    def delete_many(self, filter: Filter, *, session: Any = None) -> Deleted:
        return self._delete(filter, None)

    def _delete(self, filter: Filter, limit: int | None) -> Deleted:
        with self._store.writing():
            found = self.matching(filter)[:limit]
            for document in found:
                self._put(document["_id"], None)
            return Deleted(len(found))

    # Indexes, and the collection itself

    def create_index(
        self,
        keys: Sort,
        *,
        name: str,
        unique: bool = False,
        partialFilterExpression: Filter | None = None,  # noqa: N803, RUF100 (pymongo's spelling)
    ) -> str:
        definition = documents.index_definition(keys, name, unique, partialFilterExpression)
        with self._store.writing():
            table = self._store.table(self.name)
            present = [index.definition for index in table.indexes.values()]
            if not any(documents.is_same(each, definition, self.name) for each in present):
                self._store.undo.append(table.add_index(Index(definition)))
        return name

    def index_information(self) -> dict[str, Any]:
        with self._store.lock:
            table = self._store.tables.get(self.name)
            indexes = table.indexes.values() if table else ()
            return {index.name: index.information() for index in indexes}

    def drop_index(self, name: str) -> None:
        with self._store.writing():
            indexes = self._store.table(self.name).indexes
            if name in indexes:
                index = indexes.pop(name)
                self._store.undo.append(lambda: indexes.update({name: index}))

    def drop(self) -> None:
        with self._store.writing():
            table = self._store.tables.pop(self.name, None)
            if table is not None:
                self._store.undo.append(lambda: self._store.tables.update({self.name: table}))


class MemoryStore(Transacted):
    """A store in memory, with transactions: one thread at a time is in one."""

    def __init__(self, url: str = URL) -> None:
        self.url = url
        self.capabilities = Capabilities(several_processes=False, transactions=True, wake_up=True)
        self.tables: dict[str, Table] = {}
        self.lock = threading.RLock()
        self.undo: list[Undo] = []  # of the transaction that is under way
        self._depth = 0
        self._changes = ChangeCounter()
        self._process = os.getpid()

    def table(self, name: str) -> Table:
        """Return a table, made if there is none; only in a transaction."""
        if name not in self.tables:
            self.tables[name] = Table(name)
            self.undo.append(lambda: self.tables.pop(name))
        return self.tables[name]

    def collection(self, name: str) -> MemoryCollection:
        return MemoryCollection(self, name)

    def collection_names(self) -> list[str]:
        with self.lock:
            return sorted(self.tables)

    def transaction(self) -> AbstractContextManager[Any]:
        return self.writing()

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """Store all that is done in the block, or nothing; every write is in such a block."""
        if os.getpid() != self._process:
            raise StoreError(f"{self.url} belongs to the process that opened it, not to its child")
        with self.lock:
            outermost, begun = not self._depth, len(self.undo)
            self._depth += 1
            try:
                yield self
            except BaseException:
                while len(self.undo) > begun:
                    self.undo.pop()()
                raise
            finally:
                self._depth -= 1
            if outermost and self.undo:
                self.undo.clear()
                self._changes.add()

    def claim_many(
        self,
        collection: str,
        filter: Filter,
        update: Update,
        *,
        sort: Sort,
        limit: int,
        session: Any = None,
    ) -> list[Stored]:
        updater, claimed = documents.compile_update(update), self.collection(collection)
        with self.writing():
            found = claimed.matching(filter, sort)[: max(limit, 0)]
            return [documents.copy(claimed.change(old, updater)[0]) for old in found]

    def write_many(
        self, collection: str, writes: Sequence[Write], *, session: Any = None
    ) -> list[bool]:
        written = self.collection(collection)
        with self.writing():
            return [
                bool(written.delete_one(each.filter).deleted_count)
                if each.update is None
                else bool(written.update_one(each.filter, each.update).matched_count)
                for each in writes
            ]

    def count_by(self, collection: str, key: str, filter: Filter | None = None) -> dict[Any, int]:
        with self.lock:
            return documents.count_by(self.collection(collection).matching(filter), key)

    def count_by_range(
        self, collection: str, key: str, *, start: int, width: int, ranges: int
    ) -> dict[tuple[int, Any], Counted]:
        with self.lock:
            found = self.collection(collection).matching(None)
            return documents.count_by_range(found, key, start=start, width=width, ranges=ranges)

    def change_mark(self) -> int:
        return self._changes.count

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: Interrupt | None = None
    ) -> bool:
        return self._changes.wait(mark, timeout, interrupt)

    def is_transient(self, error: BaseException) -> bool:
        return False

    def check(self) -> dict[str, Any]:
        with self.lock:
            return {"store": "memory", "url": self.url, "collections": len(self.tables)}

    def close(self) -> None:
        """Nothing is held that could be released."""


@hookimpl
def open_store(url: str) -> MemoryStore | None:
    return MemoryStore(url) if url.startswith(URL) else None
