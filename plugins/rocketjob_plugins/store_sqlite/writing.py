"""Rows written to a table, many in one statement.

To bind None, or to run a statement once more, costs Python's sqlite3 as much as SQLite needs for a
whole row. So what is None is left out, and rows that have the same columns are stored fifty in one
statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Final

from rocketjob.base.errors import DuplicateKey
from rocketjob.store import Stored
from rocketjob.store.documents.index import duplicate

from .table import Row, Table

TOGETHER: Final = 50  # rows in one statement
TOGETHER_BYTES: Final = 1024 * 1024  # of their documents: SQLite copies what is bound
_COLUMNS: Final = itemgetter(0)


def insert(
    raw: sqlite3.Connection, table: Table, documents: Sequence[Stored], blobs: Iterable[bytes]
) -> None:
    """Store new documents; if an index refuses one, raise an error that names it."""
    rows = [table.row(*pair) for pair in zip(documents, blobs, strict=True)]
    before = raw.total_changes
    try:
        insert_rows(raw, table, rows)
    except sqlite3.IntegrityError as error:
        raise _duplicate(error, table, documents[raw.total_changes - before]) from error


def insert_rows(raw: sqlite3.Connection, table: Table, rows: Iterable[Row]) -> None:
    """Insert rows in their order."""
    for columns, same in groupby(rows, key=_COLUMNS):
        while group := [values for _, values in islice(same, TOGETHER)]:
            _insert_group(raw, table, columns, group)


def _insert_group(
    raw: sqlite3.Connection, table: Table, columns: tuple[str, ...], group: list[list[Any]]
) -> None:
    if len(group) == TOGETHER and sum(len(values[-1]) for values in group) < TOGETHER_BYTES:
        try:
            raw.execute(table.insert_sql(columns, TOGETHER), list(chain.from_iterable(group)))
            return
        except sqlite3.IntegrityError:
            pass  # nothing of it is stored: one by one it shows which row it is
    raw.executemany(table.insert_sql(columns, 1), group)


def update(
    raw: sqlite3.Connection,
    table: Table,
    touched: frozenset[str],
    rows: list[Row],
    documents: list[Stored],
) -> None:
    """Store changed documents, as `Table.changed_row` gives them."""
    before = raw.total_changes
    try:
        for filled, same in groupby(rows, key=_COLUMNS):
            raw.executemany(table.update_sql(touched, filled), [values for _, values in same])
    except sqlite3.IntegrityError as error:
        raise _duplicate(error, table, documents[raw.total_changes - before]) from error


def _duplicate(error: sqlite3.Error, table: Table, document: Stored) -> DuplicateKey:
    column = str(error).rpartition(".")[2]
    for index in table.uniques:
        if index.column == column:
            return index.refusal(table.collection, document)
    return duplicate(table.collection, "_id_", {"_id": 1}, {"_id": document["_id"]})
