"""The steps that a collection's methods are made of.

Each works on a connection, within a transaction or a read that `database.py` has begun.
"""

from __future__ import annotations

import heapq
import re
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bson.objectid import ObjectId
from bson.regex import Regex

from rocketjob.base.errors import DuplicateKey, StoreError
from rocketjob.store import Filter, Sort, Stored, Update

from . import sql, values
from .catalog import INEXACT, NULLS, Table
from .connection import Connection
from .paths import collect, sorting_key, split
from .query import Query
from .updater import Updater, compile_update
from .values import MISSING, decode, encode, sort_key

PAGE_DOCUMENTS: Final = 100
PAGE_BYTES: Final = 1024 * 1024
GROUP: Final = 500  # documents that update_many and delete_many hold at a time

_PLAIN_OR_TIME: Final = frozenset({str, int, bool, ObjectId, type(None), datetime})


def prepared(update: Update, returned: bool = True) -> Updater:
    """Compile an update; what is not going to be returned need not look as if it were read."""
    if not returned and all(
        type(fields) is dict and all(type(value) in _PLAIN_OR_TIME for value in fields.values())
        for fields in update.values()
    ):
        return compile_update(update)
    return compile_update(values.normalise(update))


@dataclass(slots=True)
class Found:
    """A stored document: its row, what is stored, and what that means."""

    number: int
    blob: bytes
    document: Stored = field(repr=False)


def with_id(document: Stored) -> Stored:
    """Give the caller's own document an `_id`, as pymongo does."""
    if "_id" not in document:
        document["_id"] = ObjectId()
    elif isinstance(document["_id"], list | tuple | re.Pattern | Regex):
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
    _write(connection, table, table.insert_sql, rows, documents)


def _write(
    connection: Connection,
    table: Table,
    statement: str,
    rows: list[list[Any]],
    documents: list[Stored],
) -> None:
    """Execute a statement for each row; if an index refuses one, name its document."""
    raw = connection.raw
    before = raw.total_changes
    try:
        if len(rows) == 1:
            raw.execute(statement, rows[0])
        else:
            raw.executemany(statement, rows)
    except sqlite3.IntegrityError as error:
        raise _duplicate(error, table, documents[raw.total_changes - before]) from error
    connection.catalog.take_flags(table)


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
            changed.append(one.document)
    if rows:
        _write(connection, table, statement, rows, changed)
    return len(rows)


def find_table(connection: Connection, collection: str, query: Query) -> Table | None:
    """Return the table of a collection; without one, see to it that the filter is right."""
    table = connection.catalog.find(collection)
    if table is None:
        query.check()
    return table


def scan(connection: Connection, table: Table, query: Query) -> Iterator[Found]:
    """Return every matching document, in no order."""
    part = query.where(table)
    statement = f"SELECT n, doc FROM {table.name}{where_clause(part)}"
    for number, blob in connection.raw.execute(statement, part.parameters):
        document = decode(blob)
        if part.exact or query.matches(document):
            yield Found(number, blob, document)


def groups(connection: Connection, table: Table, query: Query) -> Iterator[list[Found]]:
    """Return every matching document in groups, which may be changed before the next one."""
    part = query.where(table)
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
    part = query.where(table)
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
    matches = query.matches  # raises what is wrong with the filter, also where nothing is found
    key = values.key_column(query.filter["_id"])
    row = connection.raw.execute(table.by_id_sql, (key,)).fetchone()
    if row is None:
        return None
    document = decode(row[1])
    return Found(row[0], row[1], document) if matches(document) else None


def names_id(filter: Filter) -> bool:
    """Tell whether the filter names one `_id`, so that no other document can match."""
    return type(filter.get("_id", MISSING)) in _IDS


_IDS: Final = frozenset({ObjectId, str, int})


def matching(
    connection: Connection, collection: str, query: Query, sort: Sort, limit: int
) -> list[Found]:
    """Return the first matching documents in an order."""
    table = find_table(connection, collection, query)
    if table is None:
        return []
    if names_id(query.filter):
        one = by_id(connection, table, query)
        return [] if one is None else [one]
    plan = query.plan(table, sort)
    if plan.ordered and plan.streams:
        return _take(connection, plan, query, limit)
    connection.hold_snapshot()
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
    passes = query.rest(plan)
    limited = f"{plan.sql} LIMIT {limit}" if passes is None else plan.sql
    found: list[Found] = []
    cursor = connection.raw.execute(limited, plan.parameters)
    for row in cursor:
        document = decode(row[1])
        if passes is None or passes(document):
            found.append(Found(row[0], row[1], document))
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
    keyed = ((_order(one.document, ways), one.number) for one in scan(connection, table, query))
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
    table = find_table(connection, collection, query)
    if table is None:
        return [], ()
    if names_id(query.filter):
        one = by_id(connection, table, query)
        return [one.document] if one else [], ()
    connection.hold_snapshot()
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
    passes = query.rest(plan)
    found: list[Found] = []
    size = 0
    cursor = connection.raw.execute(plan.sql, plan.parameters)
    for number, blob, *_ in cursor:
        document = decode(blob)
        if passes is not None and not passes(document):
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
    column, part = table.columns.get(key), query.where(table)
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
    counts: dict[Any, int] = {}
    column, part = table.columns.get(key), query.where(table)
    if column is not None and part.exact and not column.flags & INEXACT:
        statement = (
            f"SELECT {column.name}, count(*) FROM {table.name}{where_clause(part)}"
            f" GROUP BY {column.name}"
        )
        rows = connection.raw.execute(statement, part.parameters)
        for value, number in rows:
            one = values.from_column(value)
            counts[one] = counts.get(one, 0) + number  # True and 1 are one key to Python
        return counts
    parts = split(key)
    for one in scan(connection, table, query):
        value = next(iter(collect(one.document, parts)), None)
        value = None if value is MISSING else value
        try:
            counts[value] = counts.get(value, 0) + 1
        except TypeError:
            raise StoreError(
                f"count_by cannot count by {key!r}: {value!r:.60} is no scalar"
            ) from None
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
