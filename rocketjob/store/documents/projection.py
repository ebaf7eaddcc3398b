"""Projections: which fields of a document are returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rocketjob.base.errors import StoreError
from rocketjob.store.documents.language import unsupported
from rocketjob.store.unit import Stored

Project = Callable[[Stored], Stored]
_Tree = dict[str, Any]  # a name leads to a sub-tree, or to None at the end of a path


def compile_projection(projection: Any) -> Project | None:
    """Return a function that picks the fields, or None for whole documents.

    Args:
        projection: a list of names, or a mapping of each name to whether to include it.
    """
    if projection is None or (isinstance(projection, Mapping) and not projection):
        return None
    if not isinstance(projection, Mapping):
        projection = dict.fromkeys(projection, True) or {"_id": True}
    flags = {path: _flag(path, value) for path, value in projection.items()}
    with_id = flags.pop("_id", None)
    if len(set(flags.values())) > 1:
        raise StoreError("A projection either includes or excludes fields; only _id may differ")
    including = next(iter(flags.values())) if flags else bool(with_id)
    tree = _tree(flags)
    if including:
        if with_id is not False:
            tree["_id"] = None
        return lambda document: _include(document, tree)
    if with_id is False:
        tree["_id"] = None
    return lambda document: _exclude(document, tree)


def _flag(path: str, value: Any) -> bool:
    if isinstance(value, bool | int | float) and not path.startswith("$") and ".$" not in path:
        return bool(value)
    raise unsupported(f"the projection {{{path!r}: {value!r}}}", "0 1 True False for each field")


def _tree(paths: Mapping[str, bool]) -> _Tree:
    tree: _Tree = {}
    for path in sorted(paths):  # a path comes before what lies below it
        node = tree
        *above, last = path.split(".")
        for part in above:
            node = node.setdefault(part, {})
            if node is None:
                raise StoreError(f"The projection names {path!r} and its parent: name one")
        if last in node:
            raise StoreError(f"The projection names {path!r} and a field below it: name one")
        node[last] = None
    return tree


def _include(document: Stored, tree: _Tree) -> Stored:
    picked: Stored = {}
    for name, value in document.items():
        if name not in tree:
            continue
        branch = tree[name]
        if branch is None:
            picked[name] = value
        elif isinstance(value, dict):
            picked[name] = _include(value, branch)
        elif isinstance(value, list):
            picked[name] = _include_members(value, branch)
    return picked


def _include_members(array: list[Any], tree: _Tree) -> list[Any]:
    picked: list[Any] = []
    for member in array:
        if isinstance(member, dict):
            picked.append(_include(member, tree))
        elif isinstance(member, list):
            picked.append(_include_members(member, tree))
    return picked


def _exclude(value: Any, tree: _Tree) -> Any:
    if isinstance(value, list):
        return [_exclude(member, tree) for member in value]
    if not isinstance(value, dict):
        return value
    remaining: Stored = {}
    for name, member in value.items():
        if name not in tree:
            remaining[name] = member
        elif tree[name] is not None:
            remaining[name] = _exclude(member, tree[name])
    return remaining
