"""The steps that make up a collection's methods.

Each takes a connection on which `database.py` has begun a transaction or a read.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bson.objectid import ObjectId

from rocketjob.store import Filter, Sort, Stored, Update
from rocketjob.store.documents import grouping, values
from rocketjob.store.documents.order import directions_of, order_key
from rocketjob.store.documents.updater import Updater, compile_change
from rocketjob.store.documents.values import MISSING, decode, sort_key

from . import cells, sql, writing
from .alike import Alike
from .connection import Connection
from .query import Query
from .table import INEXACT, NULLS, Table

PAGE_DOCUMENTS: Final = 100
PAGE_BYTES: Final = 1024 * 1024
GROUP: Final = 500  # documents that update_many and delete_many hold at a time

_PLAIN_OR_TIME: Final = frozenset({str, int, bool, ObjectId, type(None), datetime})


def prepared(update: Update, returned: bool = True) -> Updater:
    """Compile an update, normalising its values only if they will be returned."""
    if not returned and _is_stored_as_it_is(update):
        return compile_change(update)
    return compile_change(values.normalise(update))


def _is_stored_as_it_is(update: Update) -> bool:
    """Return whether no value of an update has another form once it is stored."""
    for operator, fields in update.items():
        if type(fields) is not dict:
            return False
        for value in fields.values():
            if type(value) not in _PLAIN_OR_TIME and not (operator == "$push" and _is_plain(value)):
                return False
    return True


def _is_plain(value: Any) -> bool:
    """Return whether a value is stored as it is, and so is all that is in it."""
    kind = type(value)
    if kind is dict or kind is list:
        for member in value.values() if kind is dict else value:
            if type(member) not in _PLAIN_OR_TIME and not _is_plain(member):
                return False
        return True
    return kind in _PLAIN_OR_TIME


def updater_of(update: Update | None) -> Updater | None:
    """Compile the update of a guarded write; None removes the document."""
    return None if update is None else prepared(update, returned=False)


@dataclass(slots=True)
class StoredRow:
    """A stored document: the row's number, its bytes, and the decoded document."""

    number: int
    blob: bytes
    document: Stored = field(repr=False)


def where_clause(part: sql.Part) -> str:
    """Return the WHERE clause of a condition."""
    return "" if part.sql is None else f" WHERE {part.sql}"


def insert(
    connection: Connection, table: Table, documents: list[Stored], blobs: list[bytes]
) -> None:
    """Store new documents; if an index refuses one, raise an error that names it."""
    writing.insert(connection.raw, table, documents, blobs)
    connection.catalog.take_flags(table)


def change(connection: Connection, table: Table, matched: list[StoredRow], updater: Updater) -> int:
    """Apply an update to documents, in place and in the store; return how many changed."""
    rows, changed = [], []
    alike = Alike(table, updater)
    for row in matched:
        columns, values = alike.change(row.number, row.blob, row.document)
        if values[-2] != row.blob:  # the document comes before the row's number
            rows.append((columns, values))
            changed.append(row.document)
    if changed:
        writing.update(connection.raw, table, updater.touched, rows, changed)
        connection.catalog.take_flags(table)
    return len(changed)


def find_table(connection: Connection, collection: str, query: Query) -> Table | None:
    """Return the table of a collection; if there is none, still check the filter."""
    table = connection.catalog.find(collection)
    if table is None:
        query.check()
    return table


def scan(connection: Connection, table: Table, query: Query) -> Iterator[StoredRow]:
    """Yield every matching document, in no particular order."""
    part = query.where(table)
    statement = f"SELECT n, doc FROM {table.name}{where_clause(part)}"
    for number, blob in connection.raw.execute(statement, part.parameters):
        document = decode(blob)
        if part.exact or query.matches(document):
            yield StoredRow(number, blob, document)


def groups(connection: Connection, table: Table, query: Query) -> Iterator[list[StoredRow]]:
    """Yield every matching document in groups; the caller may change one before the next."""
    part = query.where(table)
    statement = f"SELECT n FROM {table.name}{where_clause(part)}"
    numbers = array("q", (n for (n,) in connection.raw.execute(statement, part.parameters)))
    for start in range(0, len(numbers), GROUP):
        group: list[StoredRow] = []
        for number in numbers[start : start + GROUP]:
            (blob,) = connection.raw.execute(table.by_number_sql, (number,)).fetchone()
            document = decode(blob)
            if part.exact or query.matches(document):
                group.append(StoredRow(number, blob, document))
        yield group


def delete_all(connection: Connection, table: Table, query: Query) -> int:
    """Delete every matching document."""
    part = query.where(table)
    if part.exact:
        statement = f"DELETE FROM {table.name}{where_clause(part)}"
        return connection.raw.execute(statement, part.parameters).rowcount
    deleted = 0
    for group in groups(connection, table, query):
        connection.raw.executemany(table.delete_sql, [(row.number,) for row in group])
        deleted += len(group)
    return deleted


def by_id(connection: Connection, table: Table, query: Query) -> StoredRow | None:
    """Return the document whose `_id` the filter names, if it matches the whole filter."""
    matches = query.matches  # raises if the filter is wrong, even if no document is found
    key = cells.key_column(query.filter["_id"])
    row = connection.raw.execute(table.by_id_sql, (key,)).fetchone()
    if row is None:
        return None
    document = decode(row[1])
    return StoredRow(row[0], row[1], document) if matches(document) else None


def names_id(filter: Filter) -> bool:
    """Return whether the filter names one `_id`, so that no other document can match."""
    return type(filter.get("_id", MISSING)) in _IDS


_IDS: Final = frozenset({ObjectId, str, int})


def matching(
    connection: Connection, collection: str, query: Query, sort: Sort, limit: int
) -> list[StoredRow]:
    """Return the first matching documents in an order."""
    table = find_table(connection, collection, query)
    if table is None:
        return []
    if names_id(query.filter):
        row = by_id(connection, table, query)
        return [] if row is None else [row]
    plan = query.plan(table, sort)
    if plan.ordered and plan.streams:
        return _take(connection, plan, query, limit)
    connection.hold_snapshot()
    numbers = in_order(connection, table, query, sort, limit)
    matched: list[StoredRow] = []
    for number in numbers:
        (blob,) = connection.raw.execute(table.by_number_sql, (number,)).fetchone()
        document = decode(blob)
        if query.matches(document):
            matched.append(StoredRow(number, blob, document))
            if len(matched) == limit:
                break
    return matched


def _take(connection: Connection, plan: sql.Plan, query: Query, limit: int) -> list[StoredRow]:
    passes = query.rest(plan)
    limited = f"{plan.sql} LIMIT {limit}" if passes is None else plan.sql
    matched: list[StoredRow] = []
    cursor = connection.raw.execute(limited, plan.parameters)
    for row in cursor:
        document = decode(row[1])
        if passes is None or passes(document):
            matched.append(StoredRow(row[0], row[1], document))
            if len(matched) == limit:
                break
    cursor.close()
    return matched


def in_order(
    connection: Connection, table: Table, query: Query, sort: Sort, limit: int
) -> Sequence[int]:
    """Return the numbers of rows that may match, in order; only `limit` if the SQL is exact.

    Sorting by a field without a column keeps a key per document in memory.
    """
    plan = query.plan(table, sort, "n")
    if plan.ordered:
        limited = f" LIMIT {limit}" if limit and plan.exact else ""
        cursor = connection.raw.execute(plan.sql + limited, plan.parameters)
        return array("q", (row[0] for row in cursor))
    directions = directions_of(sort)
    keyed = (
        (order_key(row.document, directions), row.number) for row in scan(connection, table, query)
    )
    if limit:
        return array("q", (number for _, number in heapq.nsmallest(limit, keyed)))
    return array("q", (number for _, number in sorted(keyed)))


def first_page(
    connection: Connection, collection: str, query: Query, sort: Sort, enough: int
) -> tuple[list[Stored], Sequence[int]]:
    """Return the first documents, and the row numbers of the others that may match."""
    table = find_table(connection, collection, query)
    if table is None:
        return [], ()
    if names_id(query.filter):
        row = by_id(connection, table, query)
        return [row.document] if row else [], ()
    connection.hold_snapshot()
    plan = query.plan(table, sort)
    if not (plan.ordered and plan.streams):
        return [], in_order(connection, table, query, sort, enough)
    page, complete = _page_of(connection, plan, query, enough)
    if complete:
        return [row.document for row in page], ()
    read = {row.number for row in page}
    numbers = in_order(connection, table, query, sort, enough)
    return [row.document for row in page], array("q", (n for n in numbers if n not in read))


def _page_of(
    connection: Connection, plan: sql.Plan, query: Query, enough: int
) -> tuple[list[StoredRow], bool]:
    passes = query.rest(plan)
    page: list[StoredRow] = []
    size = 0
    cursor = connection.raw.execute(plan.sql, plan.parameters)
    for number, blob, *_ in cursor:
        document = decode(blob)
        if passes is not None and not passes(document):
            continue
        page.append(StoredRow(number, blob, document))
        size += len(blob)
        if len(page) == enough:
            break
        if len(page) == PAGE_DOCUMENTS or size > PAGE_BYTES:
            cursor.close()
            return page, False
    cursor.close()
    return page, True


def distinct_values(connection: Connection, table: Table, query: Query, key: str) -> list[Any]:
    """Return the distinct values of a field, in order."""
    column, part = table.columns.get(key), query.where(table)
    if column is not None and part.exact and not column.flags & (INEXACT | NULLS):
        statement = f"SELECT DISTINCT {column.name} FROM {table.name}{where_clause(part)}"
        rows = connection.raw.execute(statement, part.parameters)
        return sorted(
            (cells.from_column(value) for (value,) in rows if value is not None), key=sort_key
        )
    return grouping.distinct((row.document for row in scan(connection, table, query)), key)


def count_by(connection: Connection, table: Table, query: Query, key: str) -> dict[Any, int]:
    """Count documents by the value of a field; None means no value."""
    counts: dict[Any, int] = {}
    column, part = table.columns.get(key), query.where(table)
    if column is not None and part.exact and not column.flags & INEXACT:
        statement = (
            f"SELECT {column.name}, count(*) FROM {table.name}{where_clause(part)}"
            f" GROUP BY {column.name}"
        )
        rows = connection.raw.execute(statement, part.parameters)
        for value, number in rows:
            scalar = cells.from_column(value)
            counts[scalar] = counts.get(scalar, 0) + number  # True and 1 are one key to Python
        return counts
    return grouping.count_by((row.document for row in scan(connection, table, query)), key)


def claim(
    connection: Connection, collection: str, query: Query, updater: Updater, sort: Sort, limit: int
) -> list[Stored]:
    """Update the first matching documents, and return them."""
    matched = matching(connection, collection, query, sort, limit)
    if matched:
        change(connection, connection.catalog.require(collection), matched, updater)
    return [row.document for row in matched]


def delete_one(connection: Connection, table: Table, query: Query) -> int:
    """Delete the first matching document; return how many did."""
    if names_id(query.filter) and (guard := query.equal_columns(table)):
        condition, parameters = guard  # the document need not be read
        statement = f"DELETE FROM {table.name} WHERE {condition}"
        return connection.raw.execute(statement, parameters).rowcount
    matched = matching(connection, table.collection, query, (), 1)
    if matched:
        connection.raw.execute(table.delete_sql, (matched[0].number,))
    return len(matched)


def write_one(connection: Connection, table: Table, query: Query, updater: Updater | None) -> bool:
    """Make one guarded write; return whether a document matched."""
    if updater is None:
        return delete_one(connection, table, query) > 0
    matched = matching(connection, table.collection, query, (), 1)
    if not matched:
        return False
    change(connection, table, matched, updater)
    return True
