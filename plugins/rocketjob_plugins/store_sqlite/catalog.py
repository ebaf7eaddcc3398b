"""The contents of a database file: which collections there are, each with its table.

Ids of tables are never reused, so that a cached statement for a dropped table fails rather than
reads another table.

`PRAGMA user_version` counts the changes to all this. Reading it costs about a microsecond, so every
access does, and an index made by another process is noticed at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rocketjob.store.documents import values
from rocketjob.store.documents.index import is_same
from rocketjob.store.indexes import conditions
from rocketjob.store.packing import unpack

from . import writing
from .table import Index, Row, Table, columns_with, definition_of

FORMAT_VERSION: Final = 1
APPLICATION_ID: Final = 0x524A4F42  # "RJOB"

MOST_FORMER: Final = 200

SCHEMA: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE rocketjob_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    f"INSERT INTO rocketjob_meta VALUES ('format_version', {FORMAT_VERSION})",
    "CREATE TABLE rocketjob_collections"
    " (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, definition BLOB NOT NULL)",
)


class Catalog:
    """The tables as one connection knows them."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._version: int | None = None
        self._tables: dict[str, Table | None] = {}
        self._former: dict[str, Table] = {}

    def refresh(self) -> None:
        """Drop cached tables if the catalog has changed since the last call."""
        version = self._raw.execute("PRAGMA user_version").fetchone()[0]
        if version != self._version:
            if len(self._former) > MOST_FORMER:  # mostly of dropped collections
                self._former.clear()
            self._former.update({name: t for name, t in self._tables.items() if t is not None})
            self._tables.clear()
            self._version = version

    def forget(self) -> None:
        """Forget everything: a transaction that may have changed it was rolled back."""
        self._version = None
        self._tables.clear()
        self._former.clear()

    def names(self) -> list[str]:
        """Return the names of the collections, sorted."""
        sql = "SELECT name FROM rocketjob_collections ORDER BY name"
        return [name for (name,) in self._raw.execute(sql)]

    def find(self, collection: str) -> Table | None:
        """Return the collection's table, or None if there is none yet."""
        if collection in self._tables:
            return self._tables[collection]
        sql = "SELECT id, definition FROM rocketjob_collections WHERE name = ?"
        row = self._raw.execute(sql, (collection,)).fetchone()
        table = None if row is None else self._table(collection, *row)
        self._tables[collection] = table
        self._former.pop(collection, None)
        return table

    def _table(self, collection: str, id: int, definition: bytes) -> Table:
        former = self._former.get(collection)
        if former is not None and former.id == id and former.definition == definition:
            return former  # which has cached statements
        return Table(id, collection, definition)

    def require(self, collection: str) -> Table:
        """Return the collection's table, creating it if needed; only in a write transaction."""
        return self.find(collection) or self._create(collection, definition_of([], [], 0))

    def take_flags(self, table: Table) -> None:
        """Store the flags that values written to the table have raised."""
        if not table.raised:
            return
        for column, flag in table.raised:
            column.flags |= flag
        table.plans.clear()
        table.raised.clear()
        content = unpack(table.definition)
        indexes, fields = content["indexes"], table.fields
        table.definition = definition_of(indexes, fields, table.id_column.flags)
        self._raw.execute(
            "UPDATE rocketjob_collections SET definition = ? WHERE id = ?",
            (table.definition, table.id),
        )
        self._changed()

    def create_index(self, collection: str, index: Mapping[str, Any]) -> None:
        """Add an index and fill it; do nothing if it exists.

        The table is rebuilt, which is hardly more work than filling columns, and keeps documents
        after their columns.
        """
        table = self.find(collection)
        if table is None:
            self._create(collection, definition_of([index], columns_with([], index), 0))
        elif not self.has_index(table, index):
            indexes = [*unpack(table.definition)["indexes"], index]
            columns = columns_with(table.fields, index)
            self._rebuild(table, definition_of(indexes, columns, table.id_column.flags))

    def has_index(self, table: Table, index: Mapping[str, Any]) -> bool:
        """Return whether the index exists.

        Raises:
            StoreError: another index has its name.
        """
        present = unpack(table.definition)["indexes"]
        return any(is_same(existing, index, table.collection) for existing in present)

    def drop_index(self, collection: str, name: str) -> None:
        """Remove an index by name, but not its columns; do nothing if it does not exist."""
        table = self.find(collection)
        present = unpack(table.definition)["indexes"] if table else []
        remaining = [index for index in present if index["name"] != name]
        if table is not None and len(remaining) < len(present):
            self._rebuild(table, definition_of(remaining, table.fields, table.id_column.flags))

    def drop(self, collection: str) -> bool:
        """Remove a collection; return False if there was none."""
        table = self.find(collection)
        if table is None:
            return False
        self._raw.execute(f"DROP TABLE {table.name}")
        self._raw.execute("DELETE FROM rocketjob_collections WHERE id = ?", (table.id,))
        self._changed()
        self._tables[collection] = None
        return True

    def _create(self, collection: str, definition: bytes) -> Table:
        table = self._add(collection, definition)
        self._create_indexes(table)
        self._changed()
        self._tables[collection] = table
        return table

    def _add(self, collection: str, definition: bytes) -> Table:
        """Add a collection with an empty table, which has no indexes yet."""
        sql = "INSERT INTO rocketjob_collections (name, definition) VALUES (?, ?)"
        id = self._raw.execute(sql, (collection, definition)).lastrowid
        assert id is not None
        table = Table(id, collection, definition)
        names = [c.name for c in table.fields] + [str(index.column) for index in table.uniques]
        columns = "".join(f"{name}, " for name in names)
        self._raw.execute(
            f"CREATE TABLE {table.name}"
            f" (n INTEGER PRIMARY KEY, id NOT NULL, {columns}doc BLOB NOT NULL)"
        )
        return table

    def _create_indexes(self, table: Table) -> None:
        name = table.name
        self._raw.execute(f"CREATE UNIQUE INDEX {name}_id ON {name} (id)")
        for number, index in enumerate(table.indexes):
            if index.unique:
                self._raw.execute(
                    f"CREATE UNIQUE INDEX {name}_{index.column} ON {name} ({index.column})"
                    f" WHERE {index.column} IS NOT NULL"
                )
            keys = ", ".join(
                f"{table.columns[path].name}{' DESC' if way < 0 else ''}"
                for path, way in index.keys
            )
            where = self._index_where(table, index)
            self._raw.execute(f"CREATE INDEX {name}_{number} ON {name} ({keys}){where}")

    def _index_where(self, table: Table, index: Index) -> str:
        """Leave documents out of SQLite's index only where that cannot hide one from a query."""
        if not index.partial:
            return ""
        names = [
            table.columns[path].name
            for path, condition in conditions(index.partial).items()
            if path in table.columns and condition == {"$exists": True}
        ]
        return f" WHERE {' AND '.join(f'{name} IS NOT NULL' for name in names)}" if names else ""

    def _rebuild(self, former: Table, definition: bytes) -> None:
        self._raw.execute("DELETE FROM rocketjob_collections WHERE id = ?", (former.id,))
        table = self._add(former.collection, definition)
        writing.insert_rows(self._raw, table, self._rows(former, table))
        self._create_indexes(table)  # after the rows, which is faster
        self._raw.execute(f"DROP TABLE {former.name}")
        self._tables[former.collection] = table
        self._changed()
        self.take_flags(table)

    def _rows(self, former: Table, table: Table) -> Iterable[Row]:
        for number, blob in self._raw.execute(f"SELECT n, doc FROM {former.name}"):
            yield table.row(values.decode(blob), blob, number)

    def _changed(self) -> None:
        version = self._raw.execute("PRAGMA user_version").fetchone()[0]
        self._version = (version + 1) % 2**31
        self._raw.execute(f"PRAGMA user_version = {self._version}")
