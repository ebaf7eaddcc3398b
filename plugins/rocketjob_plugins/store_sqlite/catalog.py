"""The contents of a database file: the collections, their columns and indexes.

Each collection is a table `c<id>`: `n` (the row's number), `id`, a column `k<i>` for each field of
an index, a column `u<i>` for each unique index, and `doc`, last because what follows a large blob
is slow to reach. Ids are never reused, so that a cached statement for a dropped table fails rather
than reads another table.

`PRAGMA user_version` counts the changes to all this. Reading it costs about a microsecond, so every
access does, and an index made by another process is noticed at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rocketjob.base.errors import StoreError, UnsupportedOperation
from rocketjob.store import Filter, Sort, Stored
from rocketjob.store.packing import pack, unpack

from . import values
from .matcher import Match, compile_filter
from .paths import Parts, split, value_at
from .values import MISSING, InexactError

FORMAT_VERSION: Final = 1
APPLICATION_ID: Final = 0x524A4F42  # "RJOB"

MOST_FORMER: Final = 200

INEXACT: Final = 1  # a value of the column has no exact form: it can no longer serve queries
NULLS: Final = 2  # a document has an explicit null there: NULL no longer means missing

SCHEMA: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE rocketjob_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    f"INSERT INTO rocketjob_meta VALUES ('format_version', {FORMAT_VERSION})",
    "CREATE TABLE rocketjob_collections"
    " (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, definition BLOB NOT NULL)",
)


@dataclass(slots=True)
class Column:
    """A field that an index needs, stored in its own column."""

    path: str
    name: str
    flags: int = 0

    def __post_init__(self) -> None:
        self.parts: Parts = split(self.path)
        self.simple = len(self.parts) == 1

    parts: Parts = ()
    simple: bool = True


class Index:
    """A declared index. A unique one has its own column, `unique`, for the whole key."""

    def __init__(self, definition: Mapping[str, Any], unique: str | None) -> None:
        self.name: str = definition["name"]
        self.keys: list[tuple[str, int]] = [(path, int(way)) for path, way in definition["keys"]]
        self.unique = unique
        partial = definition["partial"]
        self.partial: Filter | None = partial
        self._is_member: Match | None = compile_filter(partial) if partial else None
        self._parts = [split(path) for path, _ in self.keys]

    def unique_key(self, document: Stored) -> Any:
        """Return the key that must be unique, or None if the document is not in the index."""
        if self._is_member is not None and not self._is_member(document):
            return None
        key_values = [value_at(document, parts) for parts in self._parts]
        if any(isinstance(value, list) for value in key_values):
            raise UnsupportedOperation(
                f"The unique index {self.name!r} of the embedded store cannot hold arrays"
            )
        if len(key_values) == 1:
            return values.key_column(key_values[0])
        return values.compound_key(key_values)

    def pattern(self) -> dict[str, int]:
        """Return the keys as MongoDB reports them in errors."""
        return dict(self.keys)

    def key_value(self, document: Stored) -> dict[str, Any]:
        """Return the document's values of the keys, as MongoDB reports them in errors."""
        key_values = {path: value_at(document, split(path)) for path, _ in self.keys}
        return {path: None if value is MISSING else value for path, value in key_values.items()}


class Table:
    """A collection's table at one version of the catalog."""

    def __init__(self, id: int, collection: str, definition: bytes) -> None:
        self.id = id
        self.collection = collection
        self.definition = definition
        self.name = f"c{id}"
        content: dict[str, Any] = unpack(definition)
        self.id_column = Column("_id", "id", content["id_flags"])
        self.fields = [
            Column(column["path"], f"k{number}", column["flags"])
            for number, column in enumerate(content["columns"])
        ]
        self.columns = {column.path: column for column in [self.id_column, *self.fields]}
        self.indexes = [
            Index(index, f"u{number}" if index["unique"] else None)
            for number, index in enumerate(content["indexes"])
        ]
        self.uniques = [index for index in self.indexes if index.unique]
        self.raised: list[tuple[Column, int]] = []  # flags raised since the last `take_flags`
        self._updates: dict[frozenset[str], tuple[str, list[Column], list[Index]]] = {}
        self.plans: dict[Any, Any] = {}  # see query.py
        names = ["id", *(c.name for c in self.fields), *(str(i.unique) for i in self.uniques)]
        places = ", ".join("?" * (len(names) + 1))
        self.insert_sql = f"INSERT INTO {self.name} ({', '.join(names)}, doc) VALUES ({places})"
        self.insert_numbered_sql = (
            f"INSERT INTO {self.name} ({', '.join(names)}, doc, n) VALUES ({places}, ?)"
        )
        self.by_id_sql = f"SELECT n, doc FROM {self.name} WHERE id = ?"
        self.by_number_sql = f"SELECT doc FROM {self.name} WHERE n = ?"
        self.delete_sql = f"DELETE FROM {self.name} WHERE n = ?"

    def row(self, document: Stored, blob: bytes) -> list[Any]:
        """Return the values for `insert_sql`."""
        row = [self.key_of(document["_id"])]
        self._add(row, document, self.fields)
        for index in self.uniques:
            row.append(index.unique_key(document))
        row.append(blob)
        return row

    def key_of(self, id: Any) -> Any:
        """Return the `id` column for an `_id`."""
        try:
            key = values.column(id)
        except InexactError as inexact:
            key = inexact.key
        else:
            if key is not None:
                return key
        self._raise(self.id_column, INEXACT)
        return values.key_column(None) if key is None else key

    def update(self, touched: frozenset[str]) -> tuple[str, list[Column], list[Index]]:
        """Return the statement that stores changes to these top-level fields, and what it sets.

        Only columns that can have changed are set, because SQLite rewrites every index entry of a
        column that is named.
        """
        statement = self._updates.get(touched)
        if statement is None:
            columns = [column for column in self.fields if column.parts[0] in touched]
            uniques = [index for index in self.uniques if _concerns(index, touched)]
            names = [c.name for c in columns] + [str(index.unique) for index in uniques]
            assignments = "".join(f"{name} = ?, " for name in names)
            sql = f"UPDATE {self.name} SET {assignments}doc = ? WHERE n = ?"
            statement = self._updates[touched] = (sql, columns, uniques)
        return statement

    def changed_row(
        self,
        document: Stored,
        blob: bytes,
        number: int,
        columns: list[Column],
        uniques: list[Index],
    ) -> list[Any]:
        """Return the values for the statement of `update`."""
        row: list[Any] = []
        self._add(row, document, columns)
        for index in uniques:
            row.append(index.unique_key(document))
        row.append(blob)
        row.append(number)
        return row

    def _add(self, row: list[Any], document: Stored, columns: Iterable[Column]) -> None:
        makers = values.COLUMNS
        for column in columns:
            if column.simple:
                value = document.get(column.path, MISSING)
            else:
                value = value_at(document, column.parts)
            if value is None and not column.flags & NULLS:
                self._raise(column, NULLS)
            maker = makers.get(type(value), values.column)
            try:
                row.append(maker(value))
            except InexactError as inexact:
                self._raise(column, INEXACT)
                row.append(inexact.key)

    def _raise(self, column: Column, flag: int) -> None:
        if not column.flags & flag:
            self.raised.append((column, flag))


def _concerns(index: Index, touched: frozenset[str]) -> bool:
    # a partial filter may look at any field, so such an index is always computed again
    return index.partial is not None or any(
        path.partition(".")[0] in touched for path, _ in index.keys
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
        return self.find(collection) or self._create(collection, _definition([], [], 0))

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
        table.definition = _definition(indexes, fields, table.id_column.flags)
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
            self._create(collection, _definition([index], _columns([], index), 0))
        elif not self.has_index(table, index):
            indexes = [*unpack(table.definition)["indexes"], index]
            columns = _columns(table.fields, index)
            self._rebuild(table, _definition(indexes, columns, table.id_column.flags))

    def has_index(self, table: Table, index: Mapping[str, Any]) -> bool:
        """Return whether the index exists.

        Raises:
            StoreError: another index has its name.
        """
        for existing in unpack(table.definition)["indexes"]:
            if existing == index:
                return True
            if existing["name"] == index["name"]:
                raise StoreError(
                    f"The index {index['name']!r} of {table.collection!r} exists with another "
                    f"definition ({_describe(existing)}): give the new one another name"
                )
        return False

    def drop_index(self, collection: str, name: str) -> None:
        """Remove an index by name, but not its columns; do nothing if it does not exist."""
        table = self.find(collection)
        present = unpack(table.definition)["indexes"] if table else []
        remaining = [index for index in present if index["name"] != name]
        if table is not None and len(remaining) < len(present):
            self._rebuild(table, _definition(remaining, table.fields, table.id_column.flags))

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
        sql = "INSERT INTO rocketjob_collections (name, definition) VALUES (?, ?)"
        id = self._raw.execute(sql, (collection, definition)).lastrowid
        assert id is not None
        table = Table(id, collection, definition)
        self._create_table(table)
        self._create_indexes(table)
        self._changed()
        self._tables[collection] = table
        return table

    def _create_table(self, table: Table) -> None:
        names = [c.name for c in table.fields] + [str(index.unique) for index in table.uniques]
        columns = "".join(f"{name}, " for name in names)
        self._raw.execute(
            f"CREATE TABLE {table.name}"
            f" (n INTEGER PRIMARY KEY, id NOT NULL, {columns}doc BLOB NOT NULL)"
        )

    def _create_indexes(self, table: Table) -> None:
        name = table.name
        self._raw.execute(f"CREATE UNIQUE INDEX {name}_id ON {name} (id)")
        for number, index in enumerate(table.indexes):
            if index.unique:
                self._raw.execute(
                    f"CREATE UNIQUE INDEX {name}_{index.unique} ON {name} ({index.unique})"
                    f" WHERE {index.unique} IS NOT NULL"
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
            for path, condition in index.partial.items()
            if path in table.columns and condition == {"$exists": True}
        ]
        return f" WHERE {' AND '.join(f'{name} IS NOT NULL' for name in names)}" if names else ""

    def _rebuild(self, former: Table, definition: bytes) -> None:
        self._raw.execute("DELETE FROM rocketjob_collections WHERE id = ?", (former.id,))
        sql = "INSERT INTO rocketjob_collections (name, definition) VALUES (?, ?)"
        id = self._raw.execute(sql, (former.collection, definition)).lastrowid
        assert id is not None
        table = Table(id, former.collection, definition)
        self._create_table(table)
        self._raw.executemany(table.insert_numbered_sql, self._rows(former, table))
        self._create_indexes(table)  # after the rows, which is faster
        self._raw.execute(f"DROP TABLE {former.name}")
        self._tables[former.collection] = table
        self._changed()
        self.take_flags(table)

    def _rows(self, former: Table, table: Table) -> Iterable[list[Any]]:
        for number, blob in self._raw.execute(f"SELECT n, doc FROM {former.name}"):
            yield [*table.row(values.decode(blob), blob), number]

    def _changed(self) -> None:
        version = self._raw.execute("PRAGMA user_version").fetchone()[0]
        self._version = (version + 1) % 2**31
        self._raw.execute(f"PRAGMA user_version = {self._version}")


def index_definition(keys: Sort, name: str, unique: bool, partial: Filter | None) -> dict[str, Any]:
    """Return the stored definition of an index.

    Raises:
        StoreError: the keys are not a list of (field, 1 or -1).
        UnsupportedOperation: the partial filter has an unknown operator.
    """
    if not keys or any(way not in (1, -1) for _, way in keys):
        raise StoreError(f"An index needs a list of (field, 1 or -1), not {keys!r}")
    normalised = values.normalise(partial) if partial else None
    if normalised:
        compile_filter(normalised)
    definition = {
        "name": name,
        "keys": [[path, int(way)] for path, way in keys],
        "unique": bool(unique),
        "partial": normalised,
    }
    return unpack(pack(definition))


def _definition(indexes: list[Any], columns: list[Column], id_flags: int) -> bytes:
    content = {
        "id_flags": id_flags,
        "columns": [{"path": column.path, "flags": column.flags} for column in columns],
        "indexes": indexes,
    }
    return pack(content)


def _columns(present: list[Column], index: Mapping[str, Any]) -> list[Column]:
    columns = list(present)
    paths = {"_id", *(column.path for column in columns)}
    for path, _ in index["keys"]:
        if path not in paths:
            paths.add(path)
            columns.append(Column(path, ""))
    return columns


def _describe(index: Mapping[str, Any]) -> str:
    keys = ", ".join(f"{path} {way}" for path, way in index["keys"])
    return (
        keys + (", unique" if index["unique"] else "") + (", partial" if index["partial"] else "")
    )
