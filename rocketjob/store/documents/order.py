"""Sorting documents as MongoDB does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rocketjob.base.errors import StoreError
from rocketjob.store.documents.paths import Parts, sorting_key, split
from rocketjob.store.port import Sort
from rocketjob.store.unit import Stored

Directions = Sequence[tuple[Parts, int]]


def sort_of(sort: Sort | None) -> Sort:
    """Return the sort as a list of (field, 1 or -1)."""
    if not sort:
        return ()
    if isinstance(sort, str) or any(
        isinstance(part, str) or len(part) != 2 or part[1] not in (1, -1) for part in sort
    ):
        raise StoreError(f"A sort is a list of (field, 1 or -1), not {sort!r}")
    return [(path, int(direction)) for path, direction in sort]


class _Reversed:
    """A sort key that compares in reverse."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.key == other.key)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.key < self.key)

    __hash__ = None  # type: ignore[assignment]


def directions_of(sort: Sort) -> Directions:
    """Return a sort with its paths split."""
    return [(split(path), direction) for path, direction in sort]


def order_key(document: Stored, directions: Directions) -> list[Any]:
    """Return the key by which a document is sorted."""
    keys = [(sorting_key(document, parts, direction), direction) for parts, direction in directions]
    return [key if direction > 0 else _Reversed(key) for key, direction in keys]


def in_order(documents: Iterable[Stored], sort: Sort | None) -> list[Stored]:
    """Return documents in the order of a sort; those that it does not tell apart stay as they are.

    Raises:
        StoreError: the sort is not a list of (field, 1 or -1).
    """
    directions = directions_of(sort_of(sort))
    if not directions:
        return list(documents)
    return sorted(documents, key=lambda document: order_key(document, directions))
