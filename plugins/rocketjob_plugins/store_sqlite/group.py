"""A group of guarded writes, prepared before its transaction: for `write_many` of the store.

Most groups are the ends of jobs that nobody keeps: removals on the same condition, each of another
document. Those are one statement, and nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from rocketjob.store import Filter, Write
from rocketjob.store.documents.updater import Updater

from . import cells, steps
from .connection import Connection
from .query import Query
from .table import Table

TOGETHER: Final = 128  # documents that one statement removes


class Single(NamedTuple):
    """One write."""

    query: Query
    updater: Updater | None

    def make(self, connection: Connection, table: Table) -> list[bool]:
        """Make it; return whether its filter matched."""
        return [steps.write_one(connection, table, self.query, self.updater)]


class Removals(NamedTuple):
    """Removals of documents that are named, on the same condition besides."""

    filters: Sequence[Filter]
    condition: Query

    def make(self, connection: Connection, table: Table) -> list[bool]:
        """Make them; return of each whether its filter matched."""
        condition = self.condition.equal_columns(table)
        if condition is not None and self._all_are_removed(connection, table, *condition):
            return [True] * len(self.filters)
        return [steps.delete_one(connection, table, Query(each)) > 0 for each in self.filters]

    def _all_are_removed(
        self, connection: Connection, table: Table, condition: str, parameters: list[Any]
    ) -> bool:
        """Remove them in one statement; if some do not match, remove none and return False."""
        ids = [cells.column(filter["_id"]) for filter in self.filters]
        # Filled up with the last one, so that there are few different statements to be prepared.
        filled = [*ids, *ids[-1:] * ((1 << (len(ids) - 1).bit_length()) - len(ids))]
        statement = (
            f"DELETE FROM {table.name} INDEXED BY {table.name}_id"
            f" WHERE id IN ({', '.join('?' * len(filled))}) AND {condition}"
        )
        raw = connection.raw
        raw.execute("SAVEPOINT removals")
        are_removed = raw.execute(statement, [*filled, *parameters]).rowcount == len(ids)
        if not are_removed:
            raw.execute("ROLLBACK TO removals")
        raw.execute("RELEASE removals")
        return are_removed


def prepared(writes: Iterable[Write]) -> list[Single | Removals]:
    """Return what makes writes in their order."""
    made: list[Single | Removals] = []
    for condition, alike in groupby(writes, key=_condition_of_removal):
        group = list(alike)
        if condition is None or len(group) == 1:
            made += [Single(Query(filter), steps.updater_of(update)) for filter, update in group]
            continue
        query = Query({path: value for path, _, value in condition})
        filters = [write.filter for write in group]
        for start in range(0, len(filters), TOGETHER):
            made.append(Removals(filters[start : start + TOGETHER], query))
    return made


def _condition_of_removal(write: Write) -> list[tuple[str, type, Any]] | None:
    """Return on which condition a document is removed that the filter names; else None."""
    filter, update = write
    if update is not None or type(filter) is not dict or not steps.names_id(filter):
        return None
    return [(path, type(value), value) for path, value in filter.items() if path != "_id"]
