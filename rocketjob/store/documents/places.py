"""Follow a path of an update to the place that it changes."""

from __future__ import annotations

from typing import Any, Final

from rocketjob.base.errors import StoreError, UnsupportedOperation
from rocketjob.store.documents.paths import Parts
from rocketjob.store.documents.values import MISSING
from rocketjob.store.unit import Stored

_MAX_PADDING: Final = 1_500_000  # MongoDB's own limit on filling an array with nulls


def check_path(path: str) -> None:
    """Refuse a path that cannot be followed."""
    if not path or ".." in path or path[0] == "." or path[-1] == ".":
        raise StoreError(f"{path!r} is not a path: it has an empty part")
    if "$" in path and any(part.startswith("$") for part in path.split(".")):
        raise UnsupportedOperation(
            f"This store does not support positional paths such as {path!r}: name the "
            "index (`items.0.state`), or use a MongoDB store"
        )


def parent_of(document: Stored, parts: Parts) -> Any:
    """Return the container of the last part, creating what is missing."""
    node: Any = document
    for position, part in enumerate(parts[:-1]):
        child = member_of(node, part, parts[:position])
        if child is MISSING:
            child = {}
            put(node, part, child, parts)
        elif not isinstance(child, dict | list):
            raise StoreError(
                f"Cannot create the field {parts[position + 1]!r} in {'.'.join(parts)!r}: "
                f"{'.'.join(parts[: position + 1])!r} is {child!r:.60}, not a document"
            )
        node = child
    return node


def member_of(node: Any, part: str, above: Parts) -> Any:
    """Return the member of a container, or MISSING; an array has only indexes."""
    if isinstance(node, dict):
        return node.get(part, MISSING)
    index = _index(part, above)
    return node[index] if index < len(node) else MISSING


def _index(part: str, above: Parts) -> int:
    if not part.isdecimal():
        raise StoreError(
            f"Cannot use {part!r} as a field of {'.'.join(above)!r}, which is an array: "
            "name an index"
        )
    return int(part)


def put(node: Any, part: str, value: Any, parts: Parts) -> None:
    """Store a member in a container, filling an array with nulls up to it."""
    if isinstance(node, dict):
        node[part] = value
        return
    index = _index(part, parts[:-1])
    if index > len(node) + _MAX_PADDING:
        raise StoreError(f"{'.'.join(parts)!r} would add more than {_MAX_PADDING} nulls")
    node.extend([None] * (index + 1 - len(node)))
    node[index] = value


def existing_parent(document: Stored, parts: Parts) -> Any:
    """Return the container of the last part, or MISSING."""
    node: Any = document
    for part in parts[:-1]:
        node = value_in(node, part)
    return node


def value_in(node: Any, part: str) -> Any:
    """Return the member of whatever this is, or MISSING."""
    if isinstance(node, dict):
        return node.get(part, MISSING)
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    return MISSING
