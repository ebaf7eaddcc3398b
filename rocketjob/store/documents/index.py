"""Declared indexes: which documents one holds, and what a unique one refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob.base.errors import DuplicateKey, StoreError, UnsupportedOperation
from rocketjob.store.documents.leaves import Match
from rocketjob.store.documents.matcher import compile_match
from rocketjob.store.documents.paths import split, value_at
from rocketjob.store.documents.values import MISSING, normalise
from rocketjob.store.port import Sort
from rocketjob.store.unit import Filter, Stored


class Index:
    """A declared index.

    Attributes:
        name: by which it is dropped.
        keys: a list of (field, 1 or -1).
        unique: whether no two documents in it may have the same values.
        partial: only documents that this filter matches are in it; None: all are.
    """

    def __init__(self, definition: Mapping[str, Any]) -> None:
        self.name: str = definition["name"]
        self.keys: list[tuple[str, int]] = [(path, int(way)) for path, way in definition["keys"]]
        self.unique = bool(definition["unique"])
        self.partial: Filter | None = definition["partial"]
        self._is_member: Match | None = compile_match(self.partial) if self.partial else None
        self._parts = [split(path) for path, _ in self.keys]

    def values(self, document: Stored) -> list[Any] | None:
        """Return a document's values of the keys, MISSING for none; None if it is not in the index.

        Raises:
            UnsupportedOperation: a value is an array: a unique index here takes none.
        """
        if self._is_member is not None and not self._is_member(document):
            return None
        values = [value_at(document, parts) for parts in self._parts]
        if any(isinstance(value, list) for value in values):
            raise UnsupportedOperation(
                f"The unique index {self.name!r} of this store cannot hold arrays"
            )
        return values

    def refusal(self, collection: str, document: Stored) -> DuplicateKey:
        """Return the error for a document whose values another one has."""
        parts = {path: value_at(document, split(path)) for path, _ in self.keys}
        values = {path: None if value is MISSING else value for path, value in parts.items()}
        return duplicate(collection, self.name, dict(self.keys), values)

    def information(self) -> dict[str, Any]:
        """Return what `index_information` says of it."""
        options: dict[str, Any] = {"unique": True} if self.unique else {}
        if self.partial:
            options["partialFilterExpression"] = dict(self.partial)
        return {"key": list(self.keys), **options}


def duplicate(
    collection: str, index: str, pattern: Mapping[str, int], values: Mapping[str, Any]
) -> DuplicateKey:
    """Return the error for a document that a unique index refuses; `_id_` is that of the ids."""
    return DuplicateKey(
        f"{collection} already has a document with {values!r} (unique index {index!r})",
        {"index": index, "keyPattern": dict(pattern), "keyValue": dict(values)},
    )


def index_definition(
    keys: Sort, name: str, unique: bool = False, partial: Filter | None = None
) -> dict[str, Any]:
    """Return the definition of an index as plain BSON: two that are equal are one index.

    Raises:
        StoreError: the keys are not a list of (field, 1 or -1).
        UnsupportedOperation: the partial filter has an unknown operator.
    """
    if not keys or any(way not in (1, -1) for _, way in keys):
        raise StoreError(f"An index needs a list of (field, 1 or -1), not {keys!r}")
    normalised = normalise(partial) if partial else None
    if normalised:
        compile_match(normalised)
    return normalise(
        {
            "name": name,
            "keys": [[path, int(way)] for path, way in keys],
            "unique": bool(unique),
            "partial": normalised,
        }
    )


def is_same(existing: Mapping[str, Any], wanted: Mapping[str, Any], collection: str) -> bool:
    """Return whether two definitions are of one index.

    Raises:
        StoreError: they are not, and have the same name.
    """
    if existing == wanted:
        return True
    if existing["name"] == wanted["name"]:
        raise StoreError(
            f"The index {wanted['name']!r} of {collection!r} exists with another "
            f"definition ({_describe(existing)}): give the new one another name"
        )
    return False


def _describe(index: Mapping[str, Any]) -> str:
    keys = ", ".join(f"{path} {way}" for path, way in index["keys"])
    return (
        keys + (", unique" if index["unique"] else "") + (", partial" if index["partial"] else "")
    )
