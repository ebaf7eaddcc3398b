"""One collection's table: its columns and indexes, and the rows of documents.

A table `c<id>` has `n` (the row's number), `id`, a column `k<i>` for each field of an index, a
column `u<i>` for each unique index, and `doc`, last because what follows a large blob is slow to
reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rocketjob.store import Stored
from rocketjob.store.documents.index import Index as Declared
from rocketjob.store.documents.language import fields_of
from rocketjob.store.documents.paths import Parts, split, value_at
from rocketjob.store.documents.values import MISSING
from rocketjob.store.indexes import conditions
from rocketjob.store.packing import pack, unpack

from . import cells
from .cells import InexactError

INEXACT: Final = 1  # a value of the column has no exact form: it can no longer serve queries
MOST_STATEMENTS: Final = 500
Row = tuple[tuple[str, ...], list[Any]]  # the columns that are not NULL, and what is bound
NULLS: Final = 2  # a document has an explicit null there: NULL no longer means missing


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


class Index(Declared):
    """A declared index. A unique one has its own column for the whole key.

    Attributes:
        fields: all top-level fields that decide whether a document is in it, and as what.
        required: those without which it is not.
    """

    def __init__(self, definition: Mapping[str, Any], column: str | None) -> None:
        super().__init__(definition)
        self.column = column
        paths = [path for path, _ in self.keys]
        self.fields = {split(path)[0] for path in paths} | fields_of(self.partial or {})
        asked = conditions(self.partial or {})
        exist = [path for path, condition in asked.items() if condition == {"$exists": True}]
        self.required = frozenset(split(path)[0] for path in exist)

    def unique_key(self, document: Stored) -> Any:
        """Return the key that must be unique, or None if the document is not in the index."""
        key_values = self.values(document)
        if key_values is None:
            return None
        if len(key_values) == 1:
            return cells.key_column(key_values[0])
        return cells.compound_key(key_values)


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
        self._touching: dict[frozenset[str], tuple[list[Column], list[Index]]] = {}
        self._filling: dict[tuple[str, ...], tuple[list[Column], list[Index]]] = {}
        self._inserts: dict[tuple[tuple[str, ...], int], str] = {}
        self._updates: dict[tuple[frozenset[str], tuple[str, ...]], str] = {}
        self.plans: dict[Any, Any] = {}  # see query.py
        self.by_id_sql = f"SELECT n, doc FROM {self.name} WHERE id = ?"
        self.by_number_sql = f"SELECT doc FROM {self.name} WHERE n = ?"
        self.delete_sql = f"DELETE FROM {self.name} WHERE n = ?"

    def row(self, document: Stored, blob: bytes, number: int | None = None) -> Row:
        """Return a row for `insert_sql`: the columns that are not NULL, and what they hold."""
        columns, values = ["id"], [self.key_of(document["_id"])]
        if number is not None:
            columns.append("n")
            values.append(number)
        self._add(columns, values, document, *self._filled(document))
        values.append(blob)
        return tuple(columns), values

    def _filled(self, document: Stored) -> tuple[list[Column], list[Index]]:
        """Return the columns and unique indexes that may hold something of a document."""
        keys = tuple(document)
        found = self._filling.get(keys)
        if found is None:
            columns = [column for column in self.fields if column.parts[0] in document]
            found = columns, [index for index in self.uniques if index.required <= document.keys()]
            _kept(self._filling, keys, found)
        return found

    def insert_sql(self, columns: tuple[str, ...], rows: int) -> str:
        """Return the statement that inserts so many rows with these columns, and `doc`."""
        statement = self._inserts.get((columns, rows))
        if statement is None:
            row = f"({', '.join('?' * (len(columns) + 1))})"
            places = ", ".join([row] * rows)
            statement = f"INSERT INTO {self.name} ({', '.join(columns)}, doc) VALUES {places}"
            _kept(self._inserts, (columns, rows), statement)
        return statement

    def key_of(self, id: Any) -> Any:
        """Return the `id` column for an `_id`."""
        try:
            key = cells.column(id)
        except InexactError as inexact:
            key = inexact.key
        else:
            if key is not None:
                return key
        self._raise(self.id_column, INEXACT)
        return cells.key_column(None) if key is None else key

    def update_sql(self, touched: frozenset[str], filled: tuple[str, ...]) -> str:
        """Return the statement that stores changes to these top-level fields.

        Only columns that can have changed are set, because SQLite rewrites every index entry of a
        column that is named.

        Args:
            filled: the columns that are not NULL afterwards.
        """
        statement = self._updates.get((touched, filled))
        if statement is None:
            columns, uniques = self._touched(touched)
            names = [*(c.name for c in columns), *(str(index.column) for index in uniques)]
            empty = [f"{name} = NULL" for name in names if name not in filled]
            assignments = ", ".join([*(f"{name} = ?" for name in filled), *empty, "doc = ?"])
            statement = f"UPDATE {self.name} SET {assignments} WHERE n = ?"
            _kept(self._updates, (touched, filled), statement)
        return statement

    def _touched(self, touched: frozenset[str]) -> tuple[list[Column], list[Index]]:
        """Return the columns and unique indexes that changes to these fields can change."""
        found = self._touching.get(touched)
        if found is None:
            columns = [column for column in self.fields if column.parts[0] in touched]
            concerned = [index for index in self.uniques if not touched.isdisjoint(index.fields)]
            found = columns, concerned
            _kept(self._touching, touched, found)
        return found

    def looked_at(self, touched: frozenset[str]) -> frozenset[str]:
        """Return the top-level fields on which a row for `update_sql` depends."""
        return touched.union(*(index.fields for index in self._touched(touched)[1]))

    def changed_row(
        self, document: Stored, blob: bytes, number: int, touched: frozenset[str]
    ) -> Row:
        """Return a row for `update_sql`: the columns that are not NULL, and what is bound."""
        columns: list[str] = []
        values: list[Any] = []
        self._add(columns, values, document, *self._touched(touched))
        values.append(blob)
        values.append(number)
        return tuple(columns), values

    def _add(
        self,
        names: list[str],
        values: list[Any],
        document: Stored,
        columns: Iterable[Column],
        uniques: Iterable[Index],
    ) -> None:
        """Add what a document's columns and unique keys hold, with their names, but no NULL."""
        makers = cells.COLUMNS
        for column in columns:
            if column.simple:
                value = document.get(column.path, MISSING)
            else:
                value = value_at(document, column.parts)
            if value is MISSING:  # as in most columns of most jobs
                continue
            if value is None:
                if not column.flags & NULLS:
                    self._raise(column, NULLS)
                continue
            maker = makers.get(type(value), cells.column)
            try:
                held = maker(value)
            except InexactError as inexact:
                self._raise(column, INEXACT)
                held = inexact.key
            names.append(column.name)
            values.append(held)
        for index in uniques:
            if (key := index.unique_key(document)) is not None:
                names.append(str(index.column))
                values.append(key)

    def _raise(self, column: Column, flag: int) -> None:
        if not column.flags & flag:
            self.raised.append((column, flag))


def _kept(statements: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep what was worked out for a kind of row; there are few, unless documents are odd."""
    if len(statements) >= MOST_STATEMENTS:
        statements.clear()
    statements[key] = value


def definition_of(indexes: list[Any], columns: list[Column], id_flags: int) -> bytes:
    """Return what is stored of a table: it is its whole definition."""
    content = {
        "id_flags": id_flags,
        "columns": [{"path": column.path, "flags": column.flags} for column in columns],
        "indexes": indexes,
    }
    return pack(content)


def columns_with(present: list[Column], index: Mapping[str, Any]) -> list[Column]:
    """Return the columns present, and those that the index needs besides."""
    columns = list(present)
    paths = {"_id", *(column.path for column in columns)}
    for path, _ in index["keys"]:
        if path not in paths:
            paths.add(path)
            columns.append(Column(path, ""))
    return columns
