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
from rocketjob.store.documents.paths import Parts, split, value_at
from rocketjob.store.documents.values import MISSING
from rocketjob.store.packing import pack, unpack

from . import cells
from .cells import InexactError

INEXACT: Final = 1  # a value of the column has no exact form: it can no longer serve queries
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
    """A declared index. A unique one has its own column for the whole key."""

    def __init__(self, definition: Mapping[str, Any], column: str | None) -> None:
        super().__init__(definition)
        self.column = column

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
        self._updates: dict[frozenset[str], tuple[str, list[Column], list[Index]]] = {}
        self.plans: dict[Any, Any] = {}  # see query.py
        names = ["id", *(c.name for c in self.fields), *(str(i.column) for i in self.uniques)]
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
            key = cells.column(id)
        except InexactError as inexact:
            key = inexact.key
        else:
            if key is not None:
                return key
        self._raise(self.id_column, INEXACT)
        return cells.key_column(None) if key is None else key

    def update(self, touched: frozenset[str]) -> tuple[str, list[Column], list[Index]]:
        """Return the statement that stores changes to these top-level fields, and what it sets.

        Only columns that can have changed are set, because SQLite rewrites every index entry of a
        column that is named.
        """
        statement = self._updates.get(touched)
        if statement is None:
            columns = [column for column in self.fields if column.parts[0] in touched]
            uniques = [index for index in self.uniques if _concerns(index, touched)]
            names = [c.name for c in columns] + [str(index.column) for index in uniques]
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
        makers = cells.COLUMNS
        for column in columns:
            if column.simple:
                value = document.get(column.path, MISSING)
            else:
                value = value_at(document, column.parts)
            if value is MISSING:  # as in most columns of most jobs
                row.append(None)
                continue
            if value is None and not column.flags & NULLS:
                self._raise(column, NULLS)
            maker = makers.get(type(value), cells.column)
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
