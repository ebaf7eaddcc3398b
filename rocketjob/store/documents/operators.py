"""The operators of updates: what each does to a document, as closures that change it in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bson.regex import Regex

from rocketjob.base.errors import StoreError
from rocketjob.store.documents import values
from rocketjob.store.documents.language import is_operators, unsupported
from rocketjob.store.documents.leaves import Match
from rocketjob.store.documents.matcher import compile_field, compile_match
from rocketjob.store.documents.paths import Parts, split
from rocketjob.store.documents.places import (
    check_path,
    existing_parent,
    member_of,
    parent_of,
    put,
    value_in,
)
from rocketjob.store.documents.values import MISSING, copy, equal, sort_key
from rocketjob.store.unit import Stored

Change = Callable[[Stored], None]


class Step(NamedTuple):
    """What one operator does to one path."""

    path: str
    change: Change
    on_insert: bool = False


def _revise(path: str, revised: Callable[[Any], Any]) -> list[Step]:
    """Return the step that stores `revised(value)`; MISSING means no value, in and out."""
    parts = split(path)
    last = parts[-1]

    def change(document: Stored) -> None:
        node = parent_of(document, parts) if len(parts) > 1 else document
        value = revised(member_of(node, last, parts[:-1]))
        if value is not MISSING:
            put(node, last, value, parts)

    return [Step(path, _guarding_id(path, change))]


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


def _set(path: str, operand: Any) -> list[Step]:
    shared = isinstance(operand, dict | list)
    if "." not in path and path != "_id":  # the usual case, and the fastest

        def change(document: Stored) -> None:
            document[path] = copy(operand) if shared else operand

        return [Step(path, change)]
    return _revise(path, lambda value: copy(operand))


def _set_on_insert(path: str, operand: Any) -> list[Step]:
    return [step._replace(on_insert=True) for step in _set(path, operand)]


def _unset(path: str, operand: Any) -> list[Step]:
    parts = split(path)

    def change(document: Stored) -> None:
        node = existing_parent(document, parts)
        if isinstance(node, dict):
            node.pop(parts[-1], None)
        elif isinstance(node, list) and value_in(node, parts[-1]) is not MISSING:
            node[int(parts[-1])] = None  # the other members keep their indexes

    return [Step(path, _guarding_id(path, change))]


def _arithmetic(
    name: str, calculate: Callable[[Any, Any], Any], first: Callable[[Any], Any]
) -> Callable[[str, Any], list[Step]]:
    def make(path: str, operand: Any) -> list[Step]:
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


def _extreme(wins: Callable[[Any, Any], bool]) -> Callable[[str, Any], list[Step]]:
    def make(path: str, operand: Any) -> list[Step]:
        def revised(value: Any) -> Any:
            if value is MISSING or wins(sort_key(operand), sort_key(value)):
                return copy(operand)
            return value

        return _revise(path, revised)

    return make


def _rename(path: str, target: Any) -> list[Step]:
    if not isinstance(target, str) or target == path:
        raise StoreError(f"$rename needs another name for {path!r}, not {target!r}")
    check_path(target)
    source_parts, parts = split(path), split(target)

    def change(document: Stored) -> None:
        _refuse_arrays(document, source_parts)
        node = existing_parent(document, source_parts)
        if not isinstance(node, dict) or source_parts[-1] not in node:
            return
        value = node.pop(source_parts[-1])
        put(parent_of(document, parts), parts[-1], value, parts)
        _refuse_arrays(document, parts)

    def nothing(document: Stored) -> None:
        """Do nothing: this step only lets conflicts with the target be detected."""

    return [Step(path, _guarding_id(path, _guarding_id(target, change))), Step(target, nothing)]


def _refuse_arrays(document: Stored, parts: Parts) -> None:
    node: Any = document
    for part in parts[:-1]:
        node = value_in(node, part)
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


def _push(path: str, operand: Any) -> list[Step]:
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


def _add_to_set(path: str, operand: Any) -> list[Step]:
    added, _ = _members_and_modifiers("$addToSet", operand, ("$each",))

    def revised(value: Any) -> list[Any]:
        array = _array("$addToSet", path, value)
        for member in added:
            if not any(equal(member, present) for present in array):
                array.append(copy(member))
        return array

    return _revise(path, revised)


def _without(name: str, path: str, matches: Match) -> list[Step]:
    parts = split(path)

    def change(document: Stored) -> None:
        node = existing_parent(document, parts)
        value = value_in(node, parts[-1])
        if value is not MISSING:
            remaining = [member for member in _array(name, path, value) if not matches(member)]
            put(node, parts[-1], remaining, parts)

    return [Step(path, change)]


def _pull(path: str, operand: Any) -> list[Step]:
    if is_operators(operand):
        # a member is tested as the value of a field, so that arrays inside it are opened
        test = compile_field("v", operand)
        return _without("$pull", path, lambda member: test({"v": member}))
    if isinstance(operand, dict):
        inner = compile_match(operand)
        return _without("$pull", path, lambda member: isinstance(member, dict) and inner(member))
    if isinstance(operand, Regex):
        return _without("$pull", path, lambda member: compile_field("v", operand)({"v": member}))
    return _without("$pull", path, lambda member: equal(member, operand))


def _pull_all(path: str, operand: Any) -> list[Step]:
    if not isinstance(operand, list):
        raise StoreError(f"$pullAll needs a list, not {operand!r}")
    return _without(
        "$pullAll", path, lambda member: any(equal(member, unwanted) for unwanted in operand)
    )


def _pop(path: str, operand: Any) -> list[Step]:
    if operand not in (1, -1):
        raise StoreError(f"$pop needs 1 (the last) or -1 (the first), not {operand!r}")
    parts = split(path)

    def change(document: Stored) -> None:
        value = value_in(existing_parent(document, parts), parts[-1])
        if value is not MISSING and _array("$pop", path, value):
            value.pop(-1 if operand == 1 else 0)

    return [Step(path, change)]


MAKERS: Final[dict[str, Callable[[str, Any], list[Step]]]] = {
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
