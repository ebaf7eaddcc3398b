"""A collection of the embedded store: pymongo's methods over one table."""

from __future__ import annotations

import heapq
import re
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bson.objectid import ObjectId

from rocketjob.errors import DuplicateKey, StoreError
from rocketjob.store import Filter, Sort, Stored, Update, Write

from . import sql, values
from .catalog import INEXACT, NULLS, Table, index_definition
from .connection import Connection
from .database import Database
from .paths import MISSING, collect, sorting_key, split
from .projection import Project, compile_projection
from .query import Query
from .updater import Updater, compile_update, from_filter
from .values import decode, encode, sort_key

PAGE_DOCUMENTS: Final = 100
PAGE_BYTES: Final = 1024 * 1024
GROUP: Final = 500  # documents that update_many and delete_many hold at a time

Row = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class InsertedOne:
    """What `insert_one` did."""

    inserted_id: Any
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class InsertedMany:
    """What `insert_many` did."""

    inserted_ids: list[Any]
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class Updated:
    """What `update_one` or `update_many` did."""

    matched_count: int
    modified_count: int
    upserted_id: Any = None
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class Deleted:
    """What `delete_one` or `delete_many` did."""

    deleted_count: int
    acknowledged: bool = True


_PLAIN_OR_TIME: Final = frozenset({str, int, bool, ObjectId, type(None), datetime})


def prepared(update: Update, returned: bool = True) -> Updater:
    """Compile an update; what is not going to be returned need not look as if it were read."""
    if not returned and all(
        type(fields) is dict and all(type(value) in _PLAIN_OR_TIME for value in fields.values())
        for fields in update.values()
    ):
        return compile_update(update)
    return compile_update(values.normalise(update))


class SqliteCollection:
    """Documents of one kind. It exists as soon as something is written to it."""

    def __init__(self, database: Database, name: str) -> None:
        if not name or "\0" in name:
            raise StoreError(f"{name!r} is no name for a collection")
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
        """Store a document; without `_id` it is given one."""
        return InsertedOne(self._insert([document])[0])

    def insert_many(
        self, documents: Iterable[Stored], ordered: bool = True, *, session: Any = None
    ) -> InsertedMany:
        """Store documents: all of them, or on an error none, whatever `ordered` says."""
        documents = list(documents)
        if not documents:
            raise StoreError("insert_many needs at least one document")
        return InsertedMany(self._insert(documents))

    def _insert(self, documents: list[Stored]) -> list[Any]:
        blobs = [encode(_with_id(document)) for document in documents]

        def work(connection: Connection) -> None:
            insert(connection, connection.catalog.require(self._name), documents, blobs)

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

        Which documents, and their order, is settled at the first one; each is read a little before
        its turn, and left out if it does not match any more. So a loop may change what it visits.
        """
        query, project = Query(filter), compile_projection(projection)
        order = sort_of(sort)
        return self._documents(query, project, order, abs(skip), abs(limit))

    def _documents(
        self, query: Query, project: Project | None, sort: Sort, skip: int, limit: int
    ) -> Iterator[Stored]:
        left = limit or -1
        for document in self._visit(query, sort, skip + limit if limit else 0):
            if skip:
                skip -= 1
                continue
            yield project(document) if project else document
            left -= 1
            if left == 0:
                return

    def _visit(self, query: Query, sort: Sort, enough: int) -> Iterator[Stored]:
        documents, rest = self._database.read(
            lambda connection: first_page(connection, self._name, query, sort, enough)
        )
        yield from documents
        position = 0
        while position < len(rest):
            documents, position = self._database.read(
                lambda connection, start=position: self._page(connection, query, rest, start)
            )
            yield from documents

    def _page(
        self, connection: Connection, query: Query, numbers: Sequence[int], position: int
    ) -> tuple[list[Stored], int]:
        """Read the next documents of a list of rows, as they are now."""
        found: list[Stored] = []
        table, size = connection.catalog.find(self._name), 0
        if table is None:
            return [], len(numbers)
        while position < len(numbers) and len(found) < PAGE_DOCUMENTS and size < PAGE_BYTES:
            row = connection.raw.execute(table.by_number_sql, (numbers[position],)).fetchone()
            position += 1
            if row is not None:
                document = decode(row[0])
                if query.matches(document):
                    size += len(row[0])
                    found.append(document)
        return found, position

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
        found = self._database.read(
            lambda connection: matching(connection, self._name, query, order, 1)
        )
        if not found:
            return None
        document = found[0].document
        return project(document) if project else document

    def count_documents(self, filter: Filter, *, session: Any = None) -> int:
        """Count the matching documents."""
        query = Query(filter)

        def work(connection: Connection) -> int:
            table = connection.catalog.find(self._name)
            if table is None:
                return 0
            part = sql.where(table, query.filter)
            if part.exact:
                statement = f"SELECT count(*) FROM {table.name}{where_clause(part)}"
                return int(connection.raw.execute(statement, part.parameters).fetchone()[0])
            return sum(1 for _ in scan(connection, table, query))

        return self._database.read(work)

    def distinct(
        self, key: str, filter: Filter | None = None, *, session: Any = None
    ) -> list[Any]:
        """Return the values that a field has, in order; of arrays, their members."""
        query = Query(filter)

        def work(connection: Connection) -> list[Any]:
            table = connection.catalog.find(self._name)
            return [] if table is None else distinct_values(connection, table, query, key)

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
        """Change the first matching document, and return it as it was, or (True) as it became."""
        query, order = Query(filter), sort_of(sort)
        updater = prepared(update)

        def work(connection: Connection) -> Stored | None:
            found = matching(connection, self._name, query, order, 1)
            if found:
                before = None if return_document else decode(found[0].blob)
                change(connection, connection.catalog.require(self._name), found, updater)
                return found[0].document if return_document else before
            if upsert:
                document = self._upsert(connection, query, updater)
                return document if return_document else None
            return None

        return self._database.write(work)

    def update_one(
        self, filter: Filter, update: Update, upsert: bool = False, *, session: Any = None
    ) -> Updated:
        """Change the first matching document."""
        query, updater = Query(filter), prepared(update, returned=False)

        def work(connection: Connection) -> Updated:
            found = matching(connection, self._name, query, (), 1)
            if found:
                table = connection.catalog.require(self._name)
                return Updated(1, change(connection, table, found, updater))
            if upsert:
                return Updated(0, 0, self._upsert(connection, query, updater)["_id"])
            return Updated(0, 0)

        return self._database.write(work)

    def update_many(self, filter: Filter, update: Update, *, session: Any = None) -> Updated:
        """Change every matching document, in one transaction."""
        query, updater = Query(filter), prepared(update, returned=False)

        def work(connection: Connection) -> Updated:
            matched = modified = 0
            table = connection.catalog.find(self._name)
            if table is not None:
                for group in groups(connection, table, query):
                    matched += len(group)
                    modified += change(connection, table, group, updater)
            return Updated(matched, modified)

        return self._database.write(work)

    def _upsert(self, connection: Connection, query: Query, updater: Updater) -> Stored:
        document = from_filter(query.filter)
        updater.insert(document)
        document.setdefault("_id", ObjectId())
        document = {"_id": document["_id"], **document}
        blob = encode(document)
        insert(connection, connection.catalog.require(self._name), [document], [blob])
        return decode(blob)

    # Deleting

    def delete_one(self, filter: Filter, *, session: Any = None) -> Deleted:
        """Delete the first matching document."""
        query = Query(filter)

        def work(connection: Connection) -> Deleted:
            found = matching(connection, self._name, query, (), 1)
            if found:
                table = connection.catalog.require(self._name)
                connection.raw.execute(table.delete_sql, (found[0].number,))
            return Deleted(len(found))

        return self._database.write(work)

    def delete_many(self, filter: Filter, *, session: Any = None) -> Deleted:
        """Delete every matching document, in one transaction."""
        query = Query(filter)

        def work(connection: Connection) -> Deleted:
            table = connection.catalog.find(self._name)
            return Deleted(0 if table is None else delete_all(connection, table, query))

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
        """Declare an index; what is there already is filled in, and nothing is done twice."""
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

    def drop(self) -> None:
        """Remove the collection with its documents and indexes."""

        def exists(connection: Connection) -> bool:
            return connection.catalog.find(self._name) is not None

        if self._database.read(exists):
            self._database.write(lambda connection: connection.catalog.drop(self._name))


# The steps that they are made of; each works on a connection within a transaction or a read


@dataclass(slots=True)
class Found:
    """A stored document: its row, what is stored, and what that means."""

    number: int
    blob: bytes
    document: Stored = field(repr=False)


def _with_id(document: Stored) -> Stored:
    """Give the caller's own document an `_id`, as pymongo does."""
    if "_id" not in document:
        document["_id"] = ObjectId()
    elif isinstance(document["_id"], list | tuple | re.Pattern | values.Regex):
        raise StoreError(f"An _id cannot be an array or a regular expression: {document['_id']!r}")
    for name in document:
        if isinstance(name, str) and name[:1] == "$":
            raise StoreError(f"A field cannot be called {name!r}: names do not begin with $")
    return document


def sort_of(sort: Sort | None) -> Sort:
    """Return the sort as a list of (field, 1 or -1)."""
    if not sort:
        return ()
    if isinstance(sort, str) or any(
        isinstance(part, str) or len(part) != 2 or part[1] not in (1, -1) for part in sort
    ):
        raise StoreError(f"A sort is a list of (field, 1 or -1), not {sort!r}")
    return [(path, int(way)) for path, way in sort]


def where_clause(part: sql.Part) -> str:
    """Return the WHERE of a condition."""
    return "" if part.sql is None else f" WHERE {part.sql}"


def insert(
    connection: Connection, table: Table, documents: list[Stored], blobs: list[bytes]
) -> None:
    """Store new documents."""
    rows = [table.row(*pair) for pair in zip(documents, blobs, strict=True)]
    try:
        if len(rows) == 1:
            connection.raw.execute(table.insert_sql, rows[0])
        else:
            connection.raw.executemany(table.insert_sql, rows)
    except sqlite3.IntegrityError as error:
        raise _duplicate(error, table, _culprit(connection, table, documents, rows)) from error
    connection.catalog.take_flags(table)


def _culprit(
    connection: Connection, table: Table, documents: list[Stored], rows: list[list[Any]]
) -> Stored:
    """Find the document that a unique index refused: all before it have been inserted."""
    if len(documents) == 1:
        return documents[0]
    for document, row in zip(documents, rows, strict=True):
        statement = f"SELECT n FROM {table.name} WHERE id = ?"
        if connection.raw.execute(statement, (row[0],)).fetchone() is None:
            return document
    return documents[-1]


def _duplicate(error: sqlite3.Error, table: Table, document: Stored) -> DuplicateKey:
    column = str(error).rpartition(".")[2]
    for index in table.uniques:
        if index.unique == column:
            name, pattern, value = index.name, index.pattern(), index.key_value(document)
            break
    else:
        name, pattern, value = "_id_", {"_id": 1}, {"_id": document["_id"]}
    return DuplicateKey(
        f"{table.collection} has a document with {value!r} already (unique index {name!r})",
        {"index": name, "keyPattern": pattern, "keyValue": value},
    )


def change(connection: Connection, table: Table, found: list[Found], updater: Updater) -> int:
    """Apply an update to documents, in place and in the store; return how many it changed."""
    statement, columns, uniques = table.update(updater.touched)
    rows, changed = [], []
    for one in found:
        updater.apply(one.document)
        blob = encode(one.document)
        if blob != one.blob:
            rows.append(table.changed_row(one.document, blob, one.number, columns, uniques))
            changed.append(one)
    if rows:
        _store_changes(connection, table, statement, rows, changed)
    return len(rows)


def _store_changes(
    connection: Connection,
    table: Table,
    statement: str,
    rows: list[list[Any]],
    changed: list[Found],
) -> None:
    before = connection.raw.total_changes
    try:
        if len(rows) == 1:
            connection.raw.execute(statement, rows[0])
        else:
            connection.raw.executemany(statement, rows)
    except sqlite3.IntegrityError as error:
        place = min(connection.raw.total_changes - before, len(changed) - 1)
        raise _duplicate(error, table, changed[place].document) from error
    connection.catalog.take_flags(table)


def scan(connection: Connection, table: Table, query: Query) -> Iterator[Found]:
    """Return every matching document, in no order."""
    part = sql.where(table, query.filter)
    statement = f"SELECT n, doc FROM {table.name}{where_clause(part)}"
    for number, blob in connection.raw.execute(statement, part.parameters):
        document = decode(blob)
        if part.exact or query.matches(document):
            yield Found(number, blob, document)


def groups(connection: Connection, table: Table, query: Query) -> Iterator[list[Found]]:
    """Return every matching document in groups, which may be changed before the next one."""
    part = sql.where(table, query.filter)
    statement = f"SELECT n FROM {table.name}{where_clause(part)}"
    numbers = array("q", (n for (n,) in connection.raw.execute(statement, part.parameters)))
    for start in range(0, len(numbers), GROUP):
        group: list[Found] = []
        for number in numbers[start : start + GROUP]:
            (blob,) = connection.raw.execute(table.by_number_sql, (number,)).fetchone()
            document = decode(blob)
            if part.exact or query.matches(document):
                group.append(Found(number, blob, document))
        yield group


def delete_all(connection: Connection, table: Table, query: Query) -> int:
    """Delete every matching document."""
    part = sql.where(table, query.filter)
    if part.exact:
        statement = f"DELETE FROM {table.name}{where_clause(part)}"
        return connection.raw.execute(statement, part.parameters).rowcount
    deleted = 0
    for group in groups(connection, table, query):
        connection.raw.executemany(table.delete_sql, [(one.number,) for one in group])
        deleted += len(group)
    return deleted


def by_id(connection: Connection, table: Table, query: Query) -> Found | None:
    """Return the document whose `_id` the filter names, if it matches all of it."""
    key = values.key_column(query.filter["_id"])
    row = connection.raw.execute(table.by_id_sql, (key,)).fetchone()
    if row is None:
        return None
    document = decode(row[1])
    return Found(*row, document) if query.matches(document) else None


def names_id(filter: Filter) -> bool:
    """Tell whether the filter names one `_id`, so that no other document can match."""
    return type(filter.get("_id", MISSING)) in _IDS


_IDS: Final = frozenset({ObjectId, str, int})


def matching(
    connection: Connection, collection: str, query: Query, sort: Sort, limit: int
) -> list[Found]:
    """Return the first matching documents in an order."""
    table = connection.catalog.find(collection)
    if table is None:
        query.check()
        return []
    if names_id(query.filter):
        one = by_id(connection, table, query)
        return [] if one is None else [one]
    plan = query.plan(table, sort)
    if plan.ordered and plan.streams:
        return _take(connection, plan, query, limit)
    numbers = in_order(connection, table, query, sort, limit)
    found: list[Found] = []
    for number in numbers:
        (blob,) = connection.raw.execute(table.by_number_sql, (number,)).fetchone()
        document = decode(blob)
        if query.matches(document):
            found.append(Found(number, blob, document))
            if len(found) == limit:
                break
    return found


def _take(connection: Connection, plan: sql.Plan, query: Query, limit: int) -> list[Found]:
    if plan.exact:
        cursor = connection.raw.execute(f"{plan.sql} LIMIT {limit}", plan.parameters)
        return [Found(row[0], row[1], decode(row[1])) for row in cursor]
    found: list[Found] = []
    cursor = connection.raw.execute(plan.sql, plan.parameters)
    for number, blob, *_ in cursor:
        document = decode(blob)
        if query.matches(document):
            found.append(Found(number, blob, document))
            if len(found) == limit:
                break
    cursor.close()
    return found


def in_order(
    connection: Connection, table: Table, query: Query, sort: Sort, limit: int
) -> Sequence[int]:
    """Return the rows of everything that may match, in order; `limit` of them are enough if exact.

    Sorting by a field without a column takes a key per document in memory.
    """
    plan = query.plan(table, sort, "n")
    if plan.ordered:
        limited = f" LIMIT {limit}" if limit and plan.exact else ""
        cursor = connection.raw.execute(plan.sql + limited, plan.parameters)
        return array("q", (row[0] for row in cursor))
    ways = [(split(path), way) for path, way in sort]
    keyed = (
        (_order(one.document, ways), one.number) for one in scan(connection, table, query)
    )
    if limit:
        return array("q", (number for _, number in heapq.nsmallest(limit, keyed)))
    return array("q", (number for _, number in sorted(keyed)))


class _Reversed:
    """A sort key that compares the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.key == other.key)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.key < self.key)

    __hash__ = None  # type: ignore[assignment]


def _order(document: Stored, ways: Sequence[tuple[tuple[str, ...], int]]) -> list[Any]:
    keys = [(sorting_key(document, parts, way), way) for parts, way in ways]
    return [key if way > 0 else _Reversed(key) for key, way in keys]


def first_page(
    connection: Connection, collection: str, query: Query, sort: Sort, enough: int
) -> tuple[list[Stored], Sequence[int]]:
    """Return the first documents, and the rows of the others that may match."""
    table = connection.catalog.find(collection)
    if table is None:
        query.check()
        return [], ()
    if names_id(query.filter):
        one = by_id(connection, table, query)
        return [one.document] if one else [], ()
    if not connection.depth:
        connection.raw.execute("BEGIN")  # both statements have to see the same; `read` ends it
    plan = query.plan(table, sort)
    if not (plan.ordered and plan.streams):
        return [], in_order(connection, table, query, sort, enough)
    found, complete = _page_of(connection, plan, query, enough)
    if complete:
        return [one.document for one in found], ()
    seen = {one.number for one in found}
    rest = in_order(connection, table, query, sort, enough)
    return [one.document for one in found], array("q", (n for n in rest if n not in seen))


def _page_of(
    connection: Connection, plan: sql.Plan, query: Query, enough: int
) -> tuple[list[Found], bool]:
    found: list[Found] = []
    size = 0
    cursor = connection.raw.execute(plan.sql, plan.parameters)
    for number, blob, *_ in cursor:
        document = decode(blob)
        if not plan.exact and not query.matches(document):
            continue
        found.append(Found(number, blob, document))
        size += len(blob)
        if len(found) == enough:
            break
        if len(found) == PAGE_DOCUMENTS or size > PAGE_BYTES:
            cursor.close()
            return found, False
    cursor.close()
    return found, True


def distinct_values(connection: Connection, table: Table, query: Query, key: str) -> list[Any]:
    """Return the values of a field, each once and in order."""
    column, part = table.columns.get(key), sql.where(table, query.filter)
    if column is not None and part.exact and not column.flags & (INEXACT | NULLS):
        statement = f"SELECT DISTINCT {column.name} FROM {table.name}{where_clause(part)}"
        rows = connection.raw.execute(statement, part.parameters)
        return sorted(
            (values.from_column(value) for (value,) in rows if value is not None), key=sort_key
        )
    found: dict[Any, Any] = {}
    parts = split(key)
    for one in scan(connection, table, query):
        for value in collect(one.document, parts):
            for member in value if isinstance(value, list) else [value]:
                if member is not MISSING:
                    found.setdefault(sort_key(member), member)
    return [found[order] for order in sorted(found)]


def count_by(connection: Connection, table: Table, query: Query, key: str) -> dict[Any, int]:
    """Count the documents by the value of a field; None stands for no value."""
    column, part = table.columns.get(key), sql.where(table, query.filter)
    if column is not None and part.exact and not column.flags & INEXACT:
        statement = (
            f"SELECT {column.name}, count(*) FROM {table.name}{where_clause(part)}"
            f" GROUP BY {column.name}"
        )
        rows = connection.raw.execute(statement, part.parameters)
        return {values.from_column(value): number for value, number in rows}
    counts: dict[Any, int] = {}
    parts = split(key)
    for one in scan(connection, table, query):
        value = next(iter(collect(one.document, parts)), None)
        value = None if value is MISSING else value
        try:
            counts[value] = counts.get(value, 0) + 1
        except TypeError:
            raise StoreError(f"count_by cannot count by {key!r}: {value!r:.60} is no scalar") from None
    return counts


def claim(
    connection: Connection, collection: str, query: Query, updater: Updater, sort: Sort, limit: int
) -> list[Stored]:
    """Update the first matching documents and return them."""
    found = matching(connection, collection, query, sort, limit)
    if found:
        change(connection, connection.catalog.require(collection), found, updater)
    return [one.document for one in found]


def write_one(connection: Connection, table: Table, query: Query, updater: Updater | None) -> bool:
    """Make one guarded write, and say whether there was anything to be written to."""
    found = matching(connection, table.collection, query, (), 1)
    if not found:
        return False
    if updater is None:
        connection.raw.execute(table.delete_sql, (found[0].number,))
    else:
        change(connection, table, found, updater)
    return True


__all__ = ["Query", "SqliteCollection", "Write", "claim", "count_by", "write_one"]
