"""What `distinct`, `count_by` and `count_by_range` answer, from documents that match."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from rocketjob.store.documents.paths import Parts, collect, split
from rocketjob.store.documents.values import MISSING, copy, sort_key
from rocketjob.store.port import Counted
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
        scalar = _scalar(document, parts)
        counts[scalar] = counts.get(scalar, 0) + 1
    return counts


def count_by_range(
    documents: Iterable[Stored], key: str, *, start: int, width: int, ranges: int
) -> dict[tuple[int, Any], Counted]:
    """Count documents by the range that their `_id` is in, and by the value of a field."""
    counts: dict[tuple[int, Any], Counted] = {}
    parts = split(key)
    for document in documents:
        id = document["_id"]
        if not is_number(id) or not start <= id < start + width * ranges:
            continue
        group = int((id - start) // width), _scalar(document, parts)
        one, known = Counted(1, id, id), counts.get(group)
        counts[group] = one if known is None else known.and_more(one)
    return counts


def is_number(value: Any) -> bool:
    """Return whether a value is an integer or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scalar(document: Stored, parts: Parts) -> Any:
    value = next(iter(collect(document, parts)), None)
    return value if value is not MISSING and isinstance(value, Hashable) else None
