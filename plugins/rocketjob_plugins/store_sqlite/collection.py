"""A collection of the embedded store: pymongo's methods over one table."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rocketjob.base.errors import DuplicateKey, StoreError
from rocketjob.store import Filter, Sort, Stored, Update
from rocketjob.store.documents.ids import with_id
from rocketjob.store.documents.index import index_definition
from rocketjob.store.documents.order import sort_of
from rocketjob.store.documents.projection import Project, compile_projection
from rocketjob.store.documents.results import Deleted, InsertedMany, InsertedOne, Updated
from rocketjob.store.documents.updater import Updater, upserted
from rocketjob.store.documents.values import decode, encode

from . import steps
from .connection import Connection
from .database import Database
from .query import Query

FEW = 10  # documents removed at a time before a whole collection is dropped


class SqliteCollection:
    """A collection of documents, which exists as soon as something is written to it."""

    def __init__(self, database: Database, name: str) -> None:
        if not name or "\0" in name:
            raise StoreError(f"{name!r} is not a valid collection name")
        self._database = database
        self._name = name

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._name

    def __repr__(self) -> str:
        return f"SqliteCollection({self._database.location.url!r}, {self._name!r})"

    # Inserting

    def insert_one(self, document: Stored, *, session: Any = None) -> InsertedOne:
        """Store a document, giving it an `_id` if it has none."""
        return InsertedOne(self._insert([document])[0])

    def insert_many(
        self, documents: Iterable[Stored], ordered: bool = True, *, session: Any = None
    ) -> InsertedMany:
        """Store documents: all, or none if there is an error, whatever `ordered` says."""
        documents = list(documents)
        if not documents:
            raise StoreError("insert_many needs at least one document")
        return InsertedMany(self._insert(documents))

    def _insert(self, documents: list[Stored]) -> list[Any]:
        blobs = [encode(with_id(document)) for document in documents]

        def work(connection: Connection) -> None:
            steps.insert(connection, connection.catalog.require(self._name), documents, blobs)

        self._database.write(work)
        return [document["_id"] for document in documents]

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
        """Return an iterator over the matching documents.

        Which documents match, and their order, is fixed when the first one is read. Each is read
        shortly before its turn, and left out if it no longer matches, so a loop may change them.
        """
        query, project = Query(filter), compile_projection(projection)
        order = sort_of(sort)
        return self._documents(query, project, order, abs(skip), abs(limit))

    def _documents(
        self, query: Query, project: Project | None, sort: Sort, skip: int, limit: int
    ) -> Iterator[Stored]:
        remaining = limit or -1
        for document in self._visit(query, sort, skip + limit if limit else 0):
            if skip:
                skip -= 1
                continue
            yield project(document) if project else document
            remaining -= 1
            if remaining == 0:
                return

    def _visit(self, query: Query, sort: Sort, enough: int) -> Iterator[Stored]:
        documents, numbers = self._database.read(
            lambda connection: steps.first_page(connection, self._name, query, sort, enough)
        )
        yield from documents
        position = 0
        while position < len(numbers):
            documents, position = self._next_page(query, numbers, position)
            yield from documents

    def _next_page(
        self, query: Query, numbers: Sequence[int], position: int
    ) -> tuple[list[Stored], int]:
        return self._database.read(
            lambda connection: self._page(connection, query, numbers, position)
        )

    def _page(
        self, connection: Connection, query: Query, numbers: Sequence[int], position: int
    ) -> tuple[list[Stored], int]:
        """Read the next documents of a list of row numbers, in their current state."""
        documents: list[Stored] = []
        table, size = connection.catalog.find(self._name), 0
        if table is None:
            return [], len(numbers)
        while (
            position < len(numbers)
            and len(documents) < steps.PAGE_DOCUMENTS
            and size < steps.PAGE_BYTES
        ):
            row = connection.raw.execute(table.by_number_sql, (numbers[position],)).fetchone()
            position += 1
            if row is not None:
                document = decode(row[0])
                if query.matches(document):
                    size += len(row[0])
                    documents.append(document)
        return documents, position

    def find_one(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        *,
        sort: Sort | None = None,
        session: Any = None,
    ) -> Stored | None:
        """Return the first matching document, or None."""
        query, project, order = Query(filter), compile_projection(projection), sort_of(sort)
        matched = self._database.read(
            lambda connection: steps.matching(connection, self._name, query, order, 1)
        )
        if not matched:
            return None
        document = matched[0].document
        return project(document) if project else document

    def count_documents(self, filter: Filter, *, limit: int = 0, session: Any = None) -> int:
        """Count the matching documents, or the first `limit` of them."""
        query = Query(filter)

        def work(connection: Connection) -> int:
            table = steps.find_table(connection, self._name, query)
            if table is None:
                return 0
            part = query.where(table)
            if part.exact:
                found = f"FROM {table.name}{steps.where_clause(part)}"
                if limit:
                    found = f"FROM (SELECT 1 {found} LIMIT {int(limit)})"
                statement = f"SELECT count(*) {found}"
                return int(connection.raw.execute(statement, part.parameters).fetchone()[0])
            return sum(
                1 for _ in itertools.islice(steps.scan(connection, table, query), limit or None)
            )

        return self._database.read(work)

    def distinct(self, key: str, filter: Filter | None = None, *, session: Any = None) -> list[Any]:
        """Return the distinct values of a field, in order; arrays count by their members."""
        query = Query(filter)

        def work(connection: Connection) -> list[Any]:
            table = steps.find_table(connection, self._name, query)
            return [] if table is None else steps.distinct_values(connection, table, query, key)

        return self._database.read(work)

    # Changing

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
        """Update the first matching document; return it as it was or, if True, as it became."""
        query, order = Query(filter), sort_of(sort)
        updater = steps.prepared(update)

        def work(connection: Connection) -> Stored | None:
            matched = steps.matching(connection, self._name, query, order, 1)
            if matched:
                before = None if return_document else decode(matched[0].blob)
                steps.change(connection, connection.catalog.require(self._name), matched, updater)
                return matched[0].document if return_document else before
            if upsert:
                document = self._upsert(connection, query, updater)
                return document if return_document else None
            return None

        return self._database.write(work)

    def update_one(
        self, filter: Filter, update: Update, upsert: bool = False, *, session: Any = None
    ) -> Updated:
        """Update the first matching document."""
        query, updater = Query(filter), steps.prepared(update, returned=False)

        def work(connection: Connection) -> Updated:
            matched = steps.matching(connection, self._name, query, (), 1)
            if matched:
                table = connection.catalog.require(self._name)
                return Updated(1, steps.change(connection, table, matched, updater))
            if upsert:
                return Updated(0, 0, self._upsert(connection, query, updater)["_id"])
            return Updated(0, 0)

        return self._database.write(work)

    def update_many(self, filter: Filter, update: Update, *, session: Any = None) -> Updated:
        """Update every matching document, in one transaction."""
        query, updater = Query(filter), steps.prepared(update, returned=False)

        def work(connection: Connection) -> Updated:
            matched = modified = 0
            table = steps.find_table(connection, self._name, query)
            if table is not None:
                for group in steps.groups(connection, table, query):
                    matched += len(group)
                    modified += steps.change(connection, table, group, updater)
            return Updated(matched, modified)

        return self._database.write(work)

    def _upsert(self, connection: Connection, query: Query, updater: Updater) -> Stored:
        document = upserted(query.filter, updater)
        blob = encode(document)
        steps.insert(connection, connection.catalog.require(self._name), [document], [blob])
        return decode(blob)

    # Deleting

    def delete_one(self, filter: Filter, *, session: Any = None) -> Deleted:
        """Delete the first matching document."""
        query = Query(filter)

        def work(connection: Connection) -> Deleted:
            table = steps.find_table(connection, self._name, query)
            return Deleted(0 if table is None else steps.delete_one(connection, table, query))

        return self._database.write(work)

    def delete_many(self, filter: Filter, *, session: Any = None) -> Deleted:
        """Delete every matching document, in one transaction."""
        query = Query(filter)

        def work(connection: Connection) -> Deleted:
            table = steps.find_table(connection, self._name, query)
            return Deleted(0 if table is None else steps.delete_all(connection, table, query))

        return self._database.write(work)

    # Indexes and the collection itself

    def create_index(
        self,
        keys: Sort,
        *,
        name: str,
        unique: bool = False,
        partialFilterExpression: Filter | None = None,  # noqa: N803, RUF100 (pymongo's spelling)
    ) -> str:
        """Declare an index, including existing documents; do nothing if it already exists."""
        definition = index_definition(keys, name, unique, partialFilterExpression)

        def exists(connection: Connection) -> bool:
            table = connection.catalog.find(self._name)
            return table is not None and connection.catalog.has_index(table, definition)

        def work(connection: Connection) -> None:
            try:
                connection.catalog.create_index(self._name, definition)
            except sqlite3.IntegrityError as error:
                raise DuplicateKey(
                    f"The unique index {name!r} of {self._name} cannot be created: two documents "
                    "have the same key. Remove one of them first",
                    {"index": name, "keyPattern": dict(keys), "keyValue": {}},
                ) from error

        if not self._database.read(exists):
            self._database.write(work)
        return name

    def drop_index(self, name: str) -> None:
        """Remove an index by name; do nothing if there is none."""
        self._database.write(lambda connection: connection.catalog.drop_index(self._name, name))

    def index_information(self) -> dict[str, dict[str, Any]]:
        """Return the indexes by name, as pymongo does: `key` and other options."""

        def work(connection: Connection) -> dict[str, dict[str, Any]]:
            table = connection.catalog.find(self._name)
            return {index.name: index.information() for index in table.indexes} if table else {}

        return self._database.read(work)

    def drop(self) -> None:
        """Remove the collection with its documents and indexes.

        Documents are deleted a few at a time first: freeing all pages of large ones at once would
        keep others from writing for seconds.
        """

        def exists(connection: Connection) -> bool:
            return connection.catalog.find(self._name) is not None

        if self._database.read(exists):
            while len(documents := list(self.find({}, {"_id": 1}, limit=FEW))) == FEW:
                ids = [document["_id"] for document in documents]
                self.delete_many({"_id": {"$in": ids}})
            self._database.write(lambda connection: connection.catalog.drop(self._name))
