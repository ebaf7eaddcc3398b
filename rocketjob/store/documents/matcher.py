"""Compile filters in MongoDB's language to closures over documents.

Only this module decides whether a document matches: what a store selects in its own way, as by SQL,
is checked here, unless it can prove that both agree. The tests of single values are in `leaves.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bson.regex import Regex

from rocketjob.base.errors import StoreError
from rocketjob.store.documents import values
from rocketjob.store.documents.language import clauses, is_operators, unsupported
from rocketjob.store.documents.leaves import (
    LEAVES,
    Leaf,
    Match,
    equality,
    exists,
    field_equality,
    plainly,
)
from rocketjob.store.documents.paths import matches_any, split
from rocketjob.store.documents.values import MISSING


def compile_match(filter: Mapping[str, Any]) -> Match:
    """Return the test of a normalised filter.

    Raises:
        UnsupportedOperation: it has an operator that is not supported.
    """
    return _all_of([_clause(key, condition) for key, condition in filter.items()])


def _all_of(tests: list[Match]) -> Match:
    if not tests:
        return lambda document: True
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda document: first(document) and second(document)

    def every(document: Any) -> bool:
        for test in tests:  # noqa: SIM110 (twice as fast as all() over a generator)
            if not test(document):
                return False
        return True

    return every


def _any_of(tests: list[Match]) -> Match:
    def some(document: Any) -> bool:
        for test in tests:  # noqa: SIM110 (as above)
            if test(document):
                return True
        return False

    return some


def _negate(test: Match) -> Match:
    return lambda document: not test(document)


def _always(document: Any) -> bool:
    return True


def _clause(key: str, condition: Any) -> Match:
    if not key.startswith("$"):
        return compile_field(key, condition)
    if key == "$comment":
        return _always
    if key not in ("$and", "$or", "$nor"):
        raise unsupported(key)
    tests = [compile_match(member) for member in clauses(key, condition)]
    if key == "$and":
        return _all_of(tests)
    return _any_of(tests) if key == "$or" else _negate(_any_of(tests))


def compile_field(path: str, condition: Any) -> Match:
    """Return the test of one field's condition."""
    if is_operators(condition):
        return _all_of([_operator(path, *part) for part in _parts(condition)])
    return _at(path, *field_equality(condition))


def _parts(condition: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the operators of a condition, `$regex` with its `$options`."""
    parts = []
    for name, operand in condition.items():
        if name == "$regex":
            operand = values.pattern_of(operand, condition.get("$options", ""))
        elif name == "$options":
            if "$regex" not in condition:
                raise StoreError("$options needs a $regex in the same condition")
            continue
        parts.append((name, operand))
    return parts


def _operator(path: str, name: str, operand: Any) -> Match:
    if name in ("$ne", "$nin"):
        positive = "$eq" if name == "$ne" else "$in"
        return _negate(_operator(path, positive, operand))
    if name == "$not":
        return _negate(_negated(path, operand))
    if name == "$exists" and not operand:
        return _negate(_at(path, exists, exists))
    if name == "$all":
        return _everything(path, operand)
    maker = _OPERATORS.get(name)
    if maker is None:
        raise unsupported(name)
    return _at(path, *maker(operand))


def _negated(path: str, operand: Any) -> Match:
    if isinstance(operand, Regex):
        return _at(path, *field_equality(operand))
    if not is_operators(operand):
        raise StoreError(f"$not needs operators or a regular expression, not {operand!r}")
    return compile_field(path, operand)


def _at(path: str, leaf: Match, element: Match) -> Match:
    """Return a test of the values at a path: see `paths.matches_any`."""
    parts = split(path)
    if len(parts) == 1:
        return lambda document: leaf(document.get(path, MISSING))
    return lambda document: matches_any(document, parts, 0, leaf, element)


def _everything(path: str, operand: Any) -> Match:
    if not isinstance(operand, list):
        raise StoreError(f"$all needs a list, not {operand!r}")
    if not operand:
        return lambda document: False
    for member in operand:
        if is_operators(member) and list(member) != ["$elemMatch"]:
            raise unsupported(f"{next(iter(member))} within $all", "values and $elemMatch")
    return _all_of([compile_field(path, member) for member in operand])


def _element_match(operand: Any) -> Leaf:
    if not isinstance(operand, dict):
        raise StoreError(f"$elemMatch needs a filter, not {operand!r}")
    if is_operators(operand) and next(iter(operand)) not in ("$and", "$or", "$nor"):
        test = _all_of([_element(*part) for part in _parts(operand)])
    else:
        inner = compile_match(operand)

        def test(value: Any) -> bool:
            if isinstance(value, list):  # an array inside the array counts as a document
                value = {str(index): member for index, member in enumerate(value)}
            return isinstance(value, dict) and inner(value)

    return plainly(lambda value: type(value) is list and any(map(test, value)))


def _element(name: str, operand: Any) -> Match:
    """Return the test for one member of an array, which is not opened again."""
    if name in ("$ne", "$nin"):
        return _negate(_element("$eq" if name == "$ne" else "$in", operand))
    if name == "$not":
        if isinstance(operand, Regex):
            return _negate(equality(operand))
        return _negate(_all_of([_element(*part) for part in _parts(operand)]))
    if name == "$exists":
        return lambda value: bool(operand)
    maker = _OPERATORS.get(name)
    if maker is None:
        raise unsupported(f"{name} within $elemMatch")
    return maker(operand)[1]


_OPERATORS: Final[dict[str, Callable[[Any], Leaf]]] = {**LEAVES, "$elemMatch": _element_match}
