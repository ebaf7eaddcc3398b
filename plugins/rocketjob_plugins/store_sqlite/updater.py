"""Compile updates in MongoDB's language to closures that change documents in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bson.regex import Regex

from rocketjob.base.errors import StoreError, UnsupportedOperation
from rocketjob.store import Stored

from . import values
from .matcher import Match, compile_field, compile_filter, is_operators, unsupported
from .paths import Parts, split
from .values import MISSING, copy, equal, sort_key

Change = Callable[[Stored], None]

SUPPORTED: Final = (
    "$set $setOnInsert $unset $inc $mul $min $max $rename $push (with $each $slice $position) "
    "$addToSet (with $each) $pull $pullAll $pop"
)


class Updater(NamedTuple):
    """A compiled update."""

    apply: Change
    insert: Change  # as `apply`, with $setOnInsert
    touched: frozenset[str]  # the top-level fields that it may change


class _Step(NamedTuple):
    path: str
    change: Change
    on_insert: bool = False


_Shape = tuple[tuple[str, ...], ...]  # each operator with its paths


class _Layout(NamedTuple):
    """What depends only on the operators and paths of an update, not on its values."""

    order: tuple[tuple[str, str], ...]  # operators and paths, in the order of the paths
    touched: frozenset[str]
    plain: bool  # nothing but $set of top-level fields


def compile_update(update: Mapping[str, Any]) -> Updater:
    """Return a function that applies a normalised update to a document.

    Raises:
        UnsupportedOperation: it has an operator that is not supported.
        StoreError: it is a replacement, or two of its paths conflict.
    """
    layout = _layout(_shape(update))
    if layout.plain:
        return _assignment(update["$set"], layout)
    steps: list[_Step] = []
    for operator, path in layout.order:
        steps.extend(_MAKERS[operator](path, update[operator][path]))
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
        if operator not in _MAKERS:
            raise unsupported(operator, SUPPORTED)
        for path in paths:
            _check_path(path)
            pairs.append((operator, path))
    _refuse_conflicts([path for _, path in pairs])
    pairs.sort(key=lambda pair: _path_order(pair[1]))
    plain = len(shape) == 1 and all(
        operator == "$set" and "." not in path and path != "_id" for operator, path in pairs
    )
    touched = frozenset(path.partition(".")[0] for _, path in pairs)
    return _Layout(tuple(pairs), touched, plain)


def _assignment(fields: Stored, layout: _Layout) -> Updater:
    """Return the fastest form of the most common update."""
    assigned = {path: fields[path] for _, path in layout.order}
    shared = any(isinstance(value, dict | list) for value in assigned.values())

    def change(document: Stored) -> None:
        document.update(copy(assigned) if shared else assigned)

    return Updater(change, change, layout.touched)


def _in_turn(changes: list[Change]) -> Change:
    if len(changes) == 1:
        return changes[0]

    def apply(document: Stored) -> None:
        for change in changes:
            change(document)

    return apply


def _check_path(path: str) -> None:
    if not path or ".." in path or path[0] == "." or path[-1] == ".":
        raise StoreError(f"{path!r} is not a path: it has an empty part")
    if "$" in path and any(part.startswith("$") for part in path.split(".")):
        raise UnsupportedOperation(
            f"The embedded store does not support positional paths such as {path!r}: name the "
            "index (`items.0.state`), or use a MongoDB store"
        )


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


# Following a path to the place to change


def _parent(document: Stored, parts: Parts) -> Any:
    """Return the container of the last part, creating what is missing."""
    node: Any = document
    for position, part in enumerate(parts[:-1]):
        child = _member(node, part, parts[:position])
        if child is MISSING:
            child = {}
            _put(node, part, child, parts)
        elif not isinstance(child, dict | list):
            raise StoreError(
                f"Cannot create the field {parts[position + 1]!r} in {'.'.join(parts)!r}: "
                f"{'.'.join(parts[: position + 1])!r} is {child!r:.60}, not a document"
            )
        node = child
    return node


def _member(node: Any, part: str, above: Parts) -> Any:
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


_MAX_PADDING: Final = 1_500_000  # MongoDB's own limit on filling an array with nulls


def _put(node: Any, part: str, value: Any, parts: Parts) -> None:
    if isinstance(node, dict):
        node[part] = value
        return
    index = _index(part, parts[:-1])
    if index > len(node) + _MAX_PADDING:
        raise StoreError(f"{'.'.join(parts)!r} would add more than {_MAX_PADDING} nulls")
    node.extend([None] * (index + 1 - len(node)))
    node[index] = value


def _existing_parent(document: Stored, parts: Parts) -> Any:
    """Return the container of the last part, or MISSING."""
    node: Any = document
    for part in parts[:-1]:
        node = _quietly(node, part)
    return node


def _quietly(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part, MISSING)
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    return MISSING


def _revise(path: str, revised: Callable[[Any], Any]) -> list[_Step]:
    """Return the step that stores `revised(value)`; MISSING means no value, in and out."""
    parts = split(path)
    last = parts[-1]

    def change(document: Stored) -> None:
        node = _parent(document, parts) if len(parts) > 1 else document
        value = revised(_member(node, last, parts[:-1]))
        if value is not MISSING:
            _put(node, last, value, parts)

    return [_Step(path, _guarding_id(path, change))]


def _guarding_id(path: str, change: Change) -> Change:
    """Refuse to change the `_id` of a document that has one."""
    if path.partition(".")[0] != "_id":
        return change

    def guarded(document: Stored) -> None:
        before = copy(document.get("_id", MISSING))
        change(document)
        if before is not MISSING and not equal(before, document.get("_id", MISSING)):
            raise StoreError(f"The _id of a document cannot be changed (it is {before!r})")

    return guarded


# The operators


def _set(path: str, operand: Any) -> list[_Step]:
    shared = isinstance(operand, dict | list)
    if "." not in path and path != "_id":  # the usual case, and the fastest

        def change(document: Stored) -> None:
            document[path] = copy(operand) if shared else operand

        return [_Step(path, change)]
    return _revise(path, lambda value: copy(operand))


def _set_on_insert(path: str, operand: Any) -> list[_Step]:
    return [step._replace(on_insert=True) for step in _set(path, operand)]


def _unset(path: str, operand: Any) -> list[_Step]:
    parts = split(path)

    def change(document: Stored) -> None:
        node = _existing_parent(document, parts)
        if isinstance(node, dict):
            node.pop(parts[-1], None)
        elif isinstance(node, list) and _quietly(node, parts[-1]) is not MISSING:
            node[int(parts[-1])] = None  # the other members keep their indexes

    return [_Step(path, _guarding_id(path, change))]


def _arithmetic(
    name: str, calculate: Callable[[Any, Any], Any], first: Callable[[Any], Any]
) -> Callable[[str, Any], list[_Step]]:
    def make(path: str, operand: Any) -> list[_Step]:
        if not values.is_number(operand):
            raise StoreError(f"{name} needs a number for {path!r}, not {operand!r}")

        def revised(value: Any) -> Any:
            if value is MISSING:
                return first(operand)
            if not values.is_number(value):
                raise StoreError(f"Cannot {name[1:]} {path!r}: it is {value!r:.60}, not a number")
            return calculate(value, operand)

        return _revise(path, revised)

    return make


def _extreme(wins: Callable[[Any, Any], bool]) -> Callable[[str, Any], list[_Step]]:
    def make(path: str, operand: Any) -> list[_Step]:
        def revised(value: Any) -> Any:
            if value is MISSING or wins(sort_key(operand), sort_key(value)):
                return copy(operand)
            return value

        return _revise(path, revised)

    return make


def _rename(path: str, target: Any) -> list[_Step]:
    if not isinstance(target, str) or target == path:
        raise StoreError(f"$rename needs another name for {path!r}, not {target!r}")
    _check_path(target)
    source_parts, parts = split(path), split(target)

    def change(document: Stored) -> None:
        _refuse_arrays(document, source_parts)
        node = _existing_parent(document, source_parts)
        if not isinstance(node, dict) or source_parts[-1] not in node:
            return
        value = node.pop(source_parts[-1])
        _put(_parent(document, parts), parts[-1], value, parts)
        _refuse_arrays(document, parts)

    def nothing(document: Stored) -> None:
        """Do nothing: this step only lets conflicts with the target be detected."""

    return [_Step(path, _guarding_id(path, _guarding_id(target, change))), _Step(target, nothing)]


def _refuse_arrays(document: Stored, parts: Parts) -> None:
    node: Any = document
    for part in parts[:-1]:
        node = _quietly(node, part)
        if isinstance(node, list):
            raise StoreError(f"$rename cannot reach into the array on {'.'.join(parts)!r}")


def _array(name: str, path: str, value: Any) -> list[Any]:
    if value is MISSING:
        return []
    if not isinstance(value, list):
        raise StoreError(f"{name} needs an array at {path!r}, which is {value!r:.60}")
    return value


def _members_and_modifiers(
    name: str, operand: Any, allowed: tuple[str, ...]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the members to add, and the modifiers other than `$each`."""
    if not is_operators(operand):
        return [operand], {}
    for modifier in operand:
        if modifier not in allowed:
            raise unsupported(f"{modifier} within {name}", " ".join(allowed))
    members = operand.get("$each")
    if not isinstance(members, list):
        raise StoreError(f"{name} needs a list in $each, not {members!r}")
    return members, {key: operand[key] for key in allowed[1:] if key in operand}


def _push(path: str, operand: Any) -> list[_Step]:
    added, modifiers = _members_and_modifiers("$push", operand, ("$each", "$slice", "$position"))
    for modifier, number in modifiers.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise StoreError(f"{modifier} needs a whole number, not {number!r}")
    keep, position = modifiers.get("$slice"), modifiers.get("$position")

    def revised(value: Any) -> list[Any]:
        array = _array("$push", path, value)
        place = len(array) if position is None else position
        array[place:place] = copy(added)
        if keep is None:
            return array
        return array[:keep] if keep >= 0 else array[keep:]

    return _revise(path, revised)


def _add_to_set(path: str, operand: Any) -> list[_Step]:
    added, _ = _members_and_modifiers("$addToSet", operand, ("$each",))

    def revised(value: Any) -> list[Any]:
        array = _array("$addToSet", path, value)
        for member in added:
            if not any(equal(member, present) for present in array):
                array.append(copy(member))
        return array

    return _revise(path, revised)


def _without(name: str, path: str, matches: Match) -> list[_Step]:
    parts = split(path)

    def change(document: Stored) -> None:
        node = _existing_parent(document, parts)
        value = _quietly(node, parts[-1])
        if value is not MISSING:
            remaining = [member for member in _array(name, path, value) if not matches(member)]
            _put(node, parts[-1], remaining, parts)

    return [_Step(path, change)]


def _pull(path: str, operand: Any) -> list[_Step]:
    if is_operators(operand):
        # a member is tested as the value of a field, so that arrays inside it are opened
        test = compile_field("v", operand)
        return _without("$pull", path, lambda member: test({"v": member}))
    if isinstance(operand, dict):
        inner = compile_filter(operand)
        return _without("$pull", path, lambda member: isinstance(member, dict) and inner(member))
    if isinstance(operand, Regex):
        return _without("$pull", path, lambda member: compile_field("v", operand)({"v": member}))
    return _without("$pull", path, lambda member: equal(member, operand))


def _pull_all(path: str, operand: Any) -> list[_Step]:
    if not isinstance(operand, list):
        raise StoreError(f"$pullAll needs a list, not {operand!r}")
    return _without(
        "$pullAll", path, lambda member: any(equal(member, unwanted) for unwanted in operand)
    )


def _pop(path: str, operand: Any) -> list[_Step]:
    if operand not in (1, -1):
        raise StoreError(f"$pop needs 1 (the last) or -1 (the first), not {operand!r}")
    parts = split(path)

    def change(document: Stored) -> None:
        value = _quietly(_existing_parent(document, parts), parts[-1])
        if value is not MISSING and _array("$pop", path, value):
            value.pop(-1 if operand == 1 else 0)

    return [_Step(path, change)]


_MAKERS: Final[dict[str, Callable[[str, Any], list[_Step]]]] = {
    "$set": _set,
    "$setOnInsert": _set_on_insert,
    "$unset": _unset,
    "$inc": _arithmetic("$inc", values.add, lambda operand: operand),
    "$mul": _arithmetic("$mul", values.multiply, lambda operand: values.multiply(operand, 0)),
    "$min": _extreme(lambda new, old: new < old),
    "$max": _extreme(lambda new, old: new > old),
    "$rename": _rename,
    "$push": _push,
    "$addToSet": _add_to_set,
    "$pull": _pull,
    "$pullAll": _pull_all,
    "$pop": _pop,
}


# Upserts


def from_filter(filter: Mapping[str, Any]) -> Stored:
    """Return the document that an upsert starts from: the filter's equalities."""
    document: Stored = {}
    for path, value in _equalities(filter):
        parts = split(path)
        _put(_parent(document, parts), parts[-1], copy(value), parts)
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
