"""What `distinct` and `count_by` answer, from documents that match."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from rocketjob.store.documents.paths import collect, split
from rocketjob.store.documents.values import MISSING, copy, sort_key
from rocketjob.store.unit import Stored


def distinct(documents: Iterable[Stored], key: str) -> list[Any]:
    """Return the distinct values of a field, in order; an array counts by its members."""
    members: dict[Any, Any] = {}
    parts = split(key)
    for document in documents:
        for value in collect(document, parts):
            for member in value if isinstance(value, list) else [value]:
                if member is not MISSING:
                    members.setdefault(sort_key(member), member)
    return [copy(members[order]) for order in sorted(members)]


def count_by(documents: Iterable[Stored], key: str) -> dict[Any, int]:
    """Count documents by the value of a field; None stands for no value, or for one with parts."""
    counts: dict[Any, int] = {}
    parts = split(key)
    for document in documents:
        value = next(iter(collect(document, parts)), None)
        scalar = value if value is not MISSING and isinstance(value, Hashable) else None
        counts[scalar] = counts.get(scalar, 0) + 1
    return counts
