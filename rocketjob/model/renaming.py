"""What was renamed in the code and is stored under its old name: how queries find it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from rocketjob.model.registry import classes_made, loaded_classes, stored_names

_POSITIVE, _NEGATIVE = ("$eq", "$in"), ("$ne", "$nin")


def by_any_name(condition: Any) -> Any:
    """Return a condition of `_type` that holds under each name that a class has or had."""
    if isinstance(condition, str):
        names = stored_names(condition)
        return condition if len(names) == 1 else {"$in": names}
    if not isinstance(condition, Mapping):
        return condition
    widened: dict[str, Any] = {}
    for operator, operand in condition.items():
        given = operand if isinstance(operand, list | tuple) else [operand]
        names = [n for each in given for n in (stored_names(each) if _is_text(each) else [each])]
        if operator == "$not":
            widened[operator] = by_any_name(operand)
        elif len(names) == len(given) or operator not in (*_POSITIVE, *_NEGATIVE):
            widened[operator] = operand
        else:
            widened["$in" if operator in _POSITIVE else "$nin"] = names
    return widened


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


@attrs.frozen
class Renames:
    """The renamed fields of a class and of those below it.

    Attributes:
        old: for each present key those it had, each with the names of the classes that had it.
        taken: the keys of fields of today.
    """

    old: Mapping[str, Mapping[str, list[str]]]
    taken: frozenset[str]

    def present(self, key: str) -> str:
        """Return a key, or a part of one, under the present name of its field."""
        head, dot, rest = key.partition(".")
        if head not in self.taken:
            for present, earlier in self.old.items():
                if head in earlier:
                    return present + dot + rest
        return key

    def widened(self, filter: dict[str, Any]) -> dict[str, Any]:
        """Return a filter that also looks at what is stored under old names."""
        renamed = [key for key in filter if key.partition(".")[0] in self.old]
        if not renamed:
            return filter
        clauses = [self._either(key, filter[key]) for key in renamed]
        rest = {key: value for key, value in filter.items() if key not in renamed}
        return {**rest, "$and": [*rest.get("$and", ()), *clauses]}

    def _either(self, key: str, condition: Any) -> dict[str, Any]:
        """Return the condition of the present key, or of an old one where that is what is stored.

        Each document is judged by one of the two, so that `$ne` and None hold as they should.
        """
        head, dot, rest = key.partition(".")
        clauses: list[dict[str, Any]] = []
        older: list[dict[str, Any]] = []
        missing: dict[str, Any] = {head: {"$exists": False}}
        for old, names in self.old[head].items():
            under = {"_type": {"$in": names}, **missing, old: {"$exists": True}}
            clauses.append({"$and": [under, {old + dot + rest: condition}]})
            older.append(under)
            missing = {**missing, old: {"$exists": False}}
        return {"$or": [{"$and": [{key: condition}, {"$nor": older}]}, *clauses]}

    def earlier(self, keys: Iterable[str]) -> list[str]:
        """Return the keys that a projection needs to know the values of present ones."""
        heads = {key.partition(".")[0] for key in keys}
        old = [old for head in heads & self.old.keys() for old in self.old[head]]
        return [*old, "_type"] if old else []

    def only_earlier(self, key: str) -> list[str]:
        """Return the earlier keys of a field that are no other field's today."""
        return [old for old in self.old.get(key, ()) if old not in self.taken]

    def under_present_keys(self, stored: dict[str, Any]) -> dict[str, Any]:
        """Return a stored document with its values under the present keys."""
        for present, earlier in self.old.items():
            if present not in stored:
                for old, names in earlier.items():
                    if old in stored and stored.get("_type") in names:
                        stored = {**stored, present: stored[old]}
                        break
        return stored


_NONE = Renames({}, frozenset())


def renames_of(model: Any) -> Renames:
    """Return the renamed fields of a class and of those below it, worked out once for these."""
    made, renames = model.__dict__.get("__renames__", (-1, _NONE))
    if made != classes_made():
        renames = _renames(loaded_classes(model))
        model.__renames__ = classes_made(), renames
    return renames  # type: ignore[no-any-return]


def _renames(classes: Iterable[Any]) -> Renames:
    old: dict[str, dict[str, list[str]]] = {}
    taken: set[str] = set()
    for cls in classes:
        for field in cls.__fields__.values():
            taken.add(field.key)
            for name in field.formerly:
                old.setdefault(field.key, {}).setdefault(name, []).extend(cls.stored_names())
    return Renames(old, frozenset(taken)) if old else _NONE
