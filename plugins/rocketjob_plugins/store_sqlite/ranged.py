"""Counting documents by the range that their `_id` is in.

To group a million rows by an expression SQLite sorts them, which takes half a second. To count what
is within two bounds of an index takes a tenth of that: so it is asked for each range by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from rocketjob.store import Counted
from rocketjob.store.documents import grouping

from . import cells, steps
from .connection import Connection
from .query import Query
from .table import INEXACT, Column, Table

MOST_VALUES: Final = 20  # of the field: with more it is quicker to read the documents
COUNT: Final = """
WITH RECURSIVE ranges(place, low, high) AS (
  VALUES (0, :start, :start + :width)
  UNION ALL SELECT place + 1, high, high + :width FROM ranges WHERE place + 1 < :ranges
)
SELECT place, low, high,
  (SELECT count(*) FROM {table} INDEXED BY {index} WHERE {same} AND id >= low AND id < high)
FROM ranges
"""


class Ranges(NamedTuple):
    """Ranges of numbers, side by side."""

    start: int
    width: int
    ranges: int


def count(
    connection: Connection, table: Table, key: str, wanted: Ranges
) -> dict[tuple[int, Any], Counted]:
    """Count documents by the range that their `_id` is in, and the value of a field."""
    connection.hold_snapshot()
    counts: dict[tuple[int, Any], Counted] = {}
    column, index = table.columns.get(key), _index_of(table, key)
    values = _values(connection, table, column, index) if column and index else None
    if column is None or index is None or values is None:
        end = wanted.start + wanted.width * wanted.ranges
        within = Query({"_id": {"$gte": wanted.start, "$lt": end}})
        found = (row.document for row in steps.scan(connection, table, within))
        return grouping.count_by_range(found, key, **wanted._asdict())
    for value in values:
        same = f"{column.name} IS NULL" if value is None else f"{column.name} = :value"
        scalar = cells.from_column(value)
        for place, counted in _of_value(connection, table, index, same, value, wanted):
            known = counts.get((place, scalar))  # True and 1 are one key to Python
            counts[place, scalar] = counted if known is None else known.and_more(counted)
    return counts


def _index_of(table: Table, key: str) -> str | None:
    """Return the name of the index that has a field and `_id`, if its columns can be asked."""
    columns = [table.columns.get(path) for path in (key, "_id")]
    if any(column is None or column.flags & INEXACT for column in columns):
        return None
    for number, index in enumerate(table.indexes):
        if not index.partial and [path for path, _ in index.keys] == [key, "_id"]:
            return f"{table.name}_{number}"
    return None


def _values(connection: Connection, table: Table, column: Column, index: str) -> list[Any] | None:
    """Return the values of a column, from one to the next in its index; None: there are many."""
    ask = f"SELECT {column.name} FROM {table.name} INDEXED BY {index} WHERE {column.name}"
    found: list[Any] = [None] if connection.raw.execute(f"{ask} IS NULL LIMIT 1").fetchone() else []
    row = connection.raw.execute(f"{ask} IS NOT NULL ORDER BY 1 LIMIT 1").fetchone()
    while row is not None and len(found) <= MOST_VALUES:
        found.append(row[0])
        row = connection.raw.execute(f"{ask} > ? ORDER BY 1 LIMIT 1", row).fetchone()
    return found if len(found) <= MOST_VALUES else None


def _of_value(
    connection: Connection, table: Table, index: str, same: str, value: Any, wanted: Ranges
) -> Iterator[tuple[int, Counted]]:
    parameters = {**wanted._asdict(), "value": value}
    statement = COUNT.format(table=table.name, index=index, same=same)
    end = (
        f"SELECT id FROM {table.name} INDEXED BY {index} WHERE {same} AND id >= :low AND id < :high"
    )
    for place, low, high, many in connection.raw.execute(statement, parameters).fetchall():
        if not many:  # asked here, since SQLite would count twice
            continue
        bounds = {"low": low, "high": high, "value": value}
        ends = [
            connection.raw.execute(f"{end} ORDER BY id {way} LIMIT 1", bounds).fetchone()[0]
            for way in ("ASC", "DESC")
        ]
        yield place, Counted(many, *ends)
