"""Dotted paths into documents, as MongoDB follows them for reading.

A path enters the documents of an array implicitly (`steps.name`) or by index (`steps.0.name`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocketjob.store.documents.values import MISSING, sort_key

Test = Callable[[Any], bool]
Parts = tuple[str, ...]


def split(path: str) -> Parts:
    """Return the parts of a dotted path."""
    return tuple(path.split("."))


def matches_any(node: Any, parts: Parts, start: int, leaf: Test, element: Test) -> bool:
    """Return whether any value at the path passes.

    Args:
        leaf: the test for a value at the end of the path (MISSING if there is none); it looks
            into arrays itself.
        element: the test for a value that the last part picks from an array by index, which
            MongoDB does not open again.
    """
    for position in range(start, len(parts)):
        if isinstance(node, dict):
            node = node.get(parts[position], MISSING)
        elif isinstance(node, list):
            return _in_array(node, parts, position, leaf, element)
        else:
            return leaf(MISSING)
    return leaf(node)


def _in_array(array: list[Any], parts: Parts, position: int, leaf: Test, element: Test) -> bool:
    part, last = parts[position], position + 1 == len(parts)
    for index, member in enumerate(array):
        if isinstance(member, dict) and matches_any(member, parts, position, leaf, element):
            return True
        if part != str(index):
            continue
        if last:
            matched = element(member)
        elif isinstance(member, list):
            matched = _in_array(member, parts, position + 1, leaf, element)
        else:
            matched = isinstance(member, dict) and matches_any(
                member, parts, position + 1, leaf, element
            )
        if matched:
            return True
    return False


def collect(document: Any, parts: Parts) -> list[Any]:
    """Return every value at the path: MISSING for none, arrays not opened."""
    values: list[Any] = []

    def keep(value: Any) -> bool:
        values.append(value)
        return False

    matches_any(document, parts, 0, keep, keep)
    return values


def value_at(document: Any, parts: Parts) -> Any:
    """Return the value at a path that no array crosses, or the array that is in the way."""
    node = document
    for part in parts:
        if isinstance(node, dict):
            node = node.get(part, MISSING)
        elif isinstance(node, list):
            return node
        else:
            return MISSING
    return node


_EMPTY_ARRAY = (0.5,)  # sorts before null, after MinKey


def sorting_key(document: Any, parts: Parts, direction: int) -> tuple[Any, ...]:
    """Return the key by which MongoDB sorts a document: the least or greatest member of arrays."""
    keys: list[tuple[Any, ...]] = []
    for value in collect(document, parts):
        if isinstance(value, list):
            keys.extend([sort_key(member) for member in value] or [_EMPTY_ARRAY])
        else:
            keys.append(sort_key(value))
    if not keys:
        return sort_key(None)
    return min(keys) if direction > 0 else max(keys)
