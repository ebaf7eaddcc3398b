"""A group of guarded writes, prepared before its transaction: for `write_many` of the store.

Most groups are the ends of jobs. Of those that nobody keeps they are removals on the same
condition, each of another document: one statement, and nothing is decoded. The others are updates,
each of another document too: one statement reads them, and another writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from rocketjob.store import Filter, Stored, Write
from rocketjob.store.documents.updater import Updater
from rocketjob.store.documents.values import decode, encode

from . import cells, steps, writing
from .connection import Connection
from .query import Query
from .table import Row, Table

TOGETHER: Final = 128  # documents that one statement reads or removes
TOGETHER_BYTES: Final = 1024 * 1024  # of those that are held until they are written


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
        named, filled = _named(ids)
        statement = f"DELETE FROM {table.name} INDEXED BY {table.name}_id{named} AND {condition}"
        raw = connection.raw
        raw.execute("SAVEPOINT removals")
        are_removed = raw.execute(statement, [*filled, *parameters]).rowcount == len(ids)
        if not are_removed:
            raw.execute("ROLLBACK TO removals")
        raw.execute("RELEASE removals")
        return are_removed


class Updates(NamedTuple):
    """Updates of documents that are named, each of another one."""

    queries: Mapping[Any, Query]  # by the column of the id
    updaters: Sequence[Updater]

    def make(self, connection: Connection, table: Table) -> list[bool]:
        """Make them; return of each whether its filter matched."""
        places = {key: place for place, key in enumerate(self.queries)}
        held = [False] * len(places)
        changed, size = list[_Changed](), 0
        named, filled = _named(list(places))
        statement = f"SELECT id, n, doc FROM {table.name}{named}"
        for key, number, blob in connection.raw.execute(statement, filled):
            document = decode(blob)
            if not self.queries[key].matches(document):
                continue
            held[places[key]] = True
            made = _changed(self.updaters[places[key]], table, number, document)
            if made.row[1][-2] == blob:
                continue  # as it was: nobody is woken for that
            changed.append(made)
            size += len(blob)
            if size > TOGETHER_BYTES:  # where they are large, few are in memory at a time
                _write(connection, table, changed)
                changed, size = [], 0
        _write(connection, table, changed)
        return held


class _Changed(NamedTuple):
    """A document with an update applied to it."""

    touched: frozenset[str]
    row: Row
    document: Stored


def _changed(updater: Updater, table: Table, number: int, document: Stored) -> _Changed:
    updater.apply(document)
    row = table.changed_row(document, encode(document), number, updater.touched)
    return _Changed(updater.touched, row, document)


def _write(connection: Connection, table: Table, changed: Iterable[_Changed]) -> None:
    for touched, same in groupby(changed, key=_TOUCHED):
        group = list(same)
        rows, documents = [each.row for each in group], [each.document for each in group]
        writing.update(connection.raw, table, touched, rows, documents)
        connection.catalog.take_flags(table)


_TOUCHED: Final = itemgetter(0)


def _named(ids: list[Any]) -> tuple[str, list[Any]]:
    """Return the beginning of a WHERE clause that names documents, and what is bound there.

    Filled up with the last one, so that there are few different statements to be prepared.
    """
    filled = [*ids, *ids[-1:] * ((1 << (len(ids) - 1).bit_length()) - len(ids))]
    return f" WHERE id IN ({', '.join('?' * len(filled))})", filled


def prepared(writes: Iterable[Write]) -> list[Single | Removals | Updates]:
    """Return what makes writes in their order."""
    made: list[Single | Removals | Updates] = []
    for condition, alike in groupby(writes, key=_condition_of_removal):
        group = list(alike)
        if condition is None or len(group) == 1:
            made += _updates(group)
            continue
        query = Query({path: value for path, _, value in condition})
        filters = [write.filter for write in group]
        for start in range(0, len(filters), TOGETHER):
            made.append(Removals(filters[start : start + TOGETHER], query))
    return made


def _updates(writes: Iterable[Write]) -> Iterator[Single | Updates]:
    """Return what makes writes that are not alike."""
    queries, updaters = dict[Any, Query](), list[Updater]()
    for filter, update in writes:
        query, updater = Query(filter), steps.updater_of(update)
        _ = query.matches  # raises if the filter is wrong, even if no document is found
        key = cells.column(filter["_id"]) if updater and steps.names_id(filter) else None
        if queries and (key is None or key in queries or len(queries) == TOGETHER):
            yield Updates(queries, updaters)
            queries, updaters = {}, []
        if updater is None or key is None:
            yield Single(query, updater)
        else:
            queries[key] = query
            updaters.append(updater)
    if queries:
        yield Updates(queries, updaters)


def _condition_of_removal(write: Write) -> list[tuple[str, type, Any]] | None:
    """Return on which condition a document is removed that the filter names; else None."""
    filter, update = write
    if update is not None or type(filter) is not dict or not steps.names_id(filter):
        return None
    return [(path, type(value), value) for path, value in filter.items() if path != "_id"]
