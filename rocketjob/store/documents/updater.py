"""Compile updates in MongoDB's language to closures that change documents in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from bson.objectid import ObjectId
from bson.regex import Regex

from rocketjob.base.errors import StoreError
from rocketjob.store.documents.language import UPDATE_OPERATORS, is_operators, unsupported
from rocketjob.store.documents.operators import MAKERS, Change, Step
from rocketjob.store.documents.paths import split
from rocketjob.store.documents.places import check_path, parent_of, put
from rocketjob.store.documents.values import MISSING, copy
from rocketjob.store.unit import Stored


class Updater(NamedTuple):
    """A compiled update."""

    apply: Change
    insert: Change  # as `apply`, with $setOnInsert
    touched: frozenset[str]  # the top-level fields that it may change


_OTHERWISE = frozenset({"$rename", "$setOnInsert"})
_Shape = tuple[tuple[str, ...], ...]  # each operator with its paths


class _Layout(NamedTuple):
    """What depends only on the operators and paths of an update, not on its values."""

    order: tuple[tuple[str, str], ...]  # operators and paths, in the order of the paths
    touched: frozenset[str]
    plain: bool  # nothing but $set of top-level fields
    flat: bool  # nothing but top-level fields, by operators whose paths are all that they touch


def compile_change(update: Mapping[str, Any]) -> Updater:
    """Return a function that applies a normalised update to a document.

    Raises:
        UnsupportedOperation: it has an operator that is not supported.
        StoreError: it is a replacement, or two of its paths conflict.
    """
    layout = _layout(_shape(update))
    if layout.plain:
        return _assignment(update["$set"], layout)
    if layout.flat:
        return _edit(update, layout)
    steps: list[Step] = []
    for operator, path in layout.order:
        steps.extend(MAKERS[operator](path, update[operator][path]))
    touched = layout.touched
    if "$rename" in update:  # its targets are values
        paths = [step.path for step in steps]
        _refuse_conflicts(paths)
        touched = frozenset(path.partition(".")[0] for path in paths)
    everything = _in_turn([step.change for step in steps])
    if "$setOnInsert" not in update:
        return Updater(everything, everything, touched)
    usual = [step.change for step in steps if not step.on_insert]
    return Updater(_in_turn(usual), everything, touched)


def _shape(update: Mapping[str, Any]) -> _Shape:
    for operator, fields in update.items():
        if operator.startswith("$") and not isinstance(fields, dict):
            raise StoreError(f"{operator} needs a document of fields, not {fields!r}")
    return tuple([(operator, *_paths(fields)) for operator, fields in update.items()])


def _paths(fields: Any) -> Iterable[str]:
    return fields if isinstance(fields, dict) else ()


@lru_cache(maxsize=1000)
def _layout(shape: _Shape) -> _Layout:
    """Check the operators and paths of an update, and sort them by path.

    MongoDB processes the paths in order, whichever operator they belong to.
    """
    if not shape or not all(operator.startswith("$") for operator, *_ in shape):
        raise StoreError(
            "An update needs operators such as $set: a replacement document is rejected, because "
            "it would drop every other field. Write {'$set': {...}}"
        )
    pairs: list[tuple[str, str]] = []
    for operator, *paths in shape:
        if operator not in MAKERS:
            raise unsupported(operator, UPDATE_OPERATORS)
        for path in paths:
            check_path(path)
            pairs.append((operator, path))
    _refuse_conflicts([path for _, path in pairs])
    pairs.sort(key=lambda pair: _path_order(pair[1]))
    flat = all(
        operator not in _OTHERWISE and "." not in path and path != "_id" for operator, path in pairs
    )
    plain = flat and len(shape) == 1 and shape[0][0] == "$set"
    touched = frozenset(path.partition(".")[0] for _, path in pairs)
    return _Layout(tuple(pairs), touched, plain, flat)


def _assignment(fields: Stored, layout: _Layout) -> Updater:
    """Return the fastest form of the most common update."""
    assigned = {path: fields[path] for _, path in layout.order}
    shared = any(isinstance(value, dict | list) for value in assigned.values())

    def change(document: Stored) -> None:
        document.update(copy(assigned) if shared else assigned)

    return Updater(change, change, layout.touched)


def _edit(update: Mapping[str, Any], layout: _Layout) -> Updater:
    """Return a fast form of an update of top-level fields, as the end of a job is."""
    edits: list[tuple[str, Any, Change | None]] = []
    for operator, path in layout.order:
        if operator == "$set":
            edits.append((path, update[operator][path], None))
        elif operator == "$unset":
            edits.append((path, MISSING, None))
        else:
            steps = MAKERS[operator](path, update[operator][path])
            edits.extend((path, None, step.change) for step in steps)

    def change(document: Stored) -> None:
        for path, value, by in edits:
            if by is not None:
                by(document)
            elif value is MISSING:
                document.pop(path, None)
            else:
                document[path] = copy(value)

    return Updater(change, change, layout.touched)


def _in_turn(changes: list[Change]) -> Change:
    if len(changes) == 1:
        return changes[0]

    def apply(document: Stored) -> None:
        for change in changes:
            change(document)

    return apply


def _refuse_conflicts(paths: list[str]) -> None:
    seen: set[str] = set()
    for path in sorted(paths, key=len):
        parts = path.split(".")
        for length in range(1, len(parts) + 1):
            if ".".join(parts[:length]) in seen:
                raise StoreError(
                    f"Updating {path!r} conflicts with {'.'.join(parts[:length])!r} in the same "
                    "update: change each field once"
                )
        seen.add(path)


def _path_order(path: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.split(".")]


# Upserts


def upserted(filter: Mapping[str, Any], updater: Updater) -> Stored:
    """Return the document that an upsert stores where nothing matched; its `_id` is first."""
    document = _from_filter(filter)
    updater.insert(document)
    return {"_id": document.setdefault("_id", ObjectId()), **document}


def _from_filter(filter: Mapping[str, Any]) -> Stored:
    """Return the document that an upsert starts from: the filter's equalities."""
    document: Stored = {}
    for path, value in _equalities(filter):
        parts = split(path)
        put(parent_of(document, parts), parts[-1], copy(value), parts)
    return document


def _equalities(filter: Mapping[str, Any]) -> list[tuple[str, Any]]:
    equalities: list[tuple[str, Any]] = []
    for key, condition in filter.items():
        if key == "$and" or (key == "$or" and len(condition) == 1):
            for member in condition:
                equalities.extend(_equalities(member))
        elif not key.startswith("$"):
            if not is_operators(condition):
                equalities.append((key, condition))
            elif "$eq" in condition:
                equalities.append((key, condition["$eq"]))
    return [(path, value) for path, value in equalities if not isinstance(value, Regex)]
