"""Compile filters in MongoDB's language to closures over documents.

Only this module decides whether a document matches: what SQL selects is checked here, unless
`sql.py` can prove that both agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex

from rocketjob.base.errors import StoreError, UnsupportedOperation

from . import values
from .paths import matches_any, split
from .values import MISSING, equal, sort_key

Match = Callable[[Any], bool]

SUPPORTED: Final = (
    "$and $or $nor $not $eq $ne $gt $gte $lt $lte $in $nin $exists $type $regex $options $size "
    "$all $elemMatch $mod $comment"
)


def unsupported(name: str, supported: str = SUPPORTED) -> UnsupportedOperation:
    """Return an error that names what is not supported, and what is."""
    return UnsupportedOperation(
        f"The embedded store does not support {name!r}. Supported: {supported}. "
        "Evaluate it in Python, or use a MongoDB store"
    )


def compile_filter(filter: Mapping[str, Any]) -> Match:
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
    tests = [compile_filter(member) for member in clauses(key, condition)]
    if key == "$and":
        return _all_of(tests)
    return _any_of(tests) if key == "$or" else _negate(_any_of(tests))


def clauses(key: str, condition: Any) -> list[Mapping[str, Any]]:
    """Return the members of `$and`, `$or` and `$nor`."""
    if not isinstance(condition, list) or not condition:
        raise StoreError(f"{key} needs a list of at least one filter, not {condition!r}")
    for member in condition:
        if not isinstance(member, Mapping):
            raise StoreError(f"{key} needs a list of filters, but contains {member!r}")
    return condition


def is_operators(condition: Any) -> bool:
    """Return whether a condition consists of operators; a mixture is an error."""
    if not isinstance(condition, dict) or not condition:
        return False
    operators = [key for key in condition if key.startswith("$") and key not in ("$ref", "$id")]
    if operators and len(operators) < len(condition):
        raise StoreError(f"Operators and fields are mixed in one condition: {condition!r}")
    return bool(operators)


def compile_field(path: str, condition: Any) -> Match:
    """Return the test of one field's condition."""
    if is_operators(condition):
        return _all_of([_operator(path, *part) for part in _parts(condition)])
    return _at(path, *_equality(condition))


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
        return _negate(_at(path, _exists, _exists))
    if name == "$all":
        return _everything(path, operand)
    maker = _LEAVES.get(name)
    if maker is None:
        raise unsupported(name)
    return _at(path, *maker(operand))


def _negated(path: str, operand: Any) -> Match:
    if isinstance(operand, Regex):
        return _at(path, *_equality(operand))
    if not is_operators(operand):
        raise StoreError(f"$not needs operators or a regular expression, not {operand!r}")
    return compile_field(path, operand)


def _at(path: str, leaf: Match, element: Match) -> Match:
    """Return a test of the values at a path: see `paths.matches_any`."""
    parts = split(path)
    if len(parts) == 1:
        return lambda document: leaf(document.get(path, MISSING))
    return lambda document: matches_any(document, parts, 0, leaf, element)


def _opening(test: Match) -> tuple[Match, Match]:
    """Return a test for a leaf, which an array passes if it or one of its members does."""

    def leaf(value: Any) -> bool:
        if type(value) is not list:
            return test(value)
        for member in value:
            if test(member):
                return True
        return test(value)

    return leaf, test


def _plainly(test: Match) -> tuple[Match, Match]:
    return test, test


def _exists(value: Any) -> bool:
    return value is not MISSING


def equality(operand: Any) -> Match:
    """Return the test for one value, without looking into arrays."""
    if operand is None:
        return lambda value: value is None or value is MISSING
    kind = type(operand)
    if kind is Regex:
        return _regex_equality(operand)
    if kind is datetime:
        time = values.milliseconds(operand)
        return lambda value: type(value) is datetime and values.milliseconds(value) == time
    if kind in (str, ObjectId, bool):
        return lambda value: type(value) is kind and value == operand
    if kind in (int, Int64, float):
        return lambda value: (value == operand and type(value) is not bool) or _same(value, operand)
    return lambda value: value is not MISSING and equal(value, operand)


def _same(value: Any, operand: Any) -> bool:
    """Compare what Python's == does not handle: decimals and NaN."""
    return type(value) in (Decimal128, float) and sort_key(value) == sort_key(operand)


def _regex_equality(operand: Regex[str]) -> Match:
    search = values.pattern_of(operand).search

    def test(value: Any) -> bool:
        if type(value) is str:
            return search(value) is not None
        return type(value) is Regex and equal(value, operand)

    return test


def _equality(operand: Any) -> tuple[Match, Match]:
    return _opening(equality(operand))


def _exactly(operand: Any) -> tuple[Match, Match]:
    """Return the test for `$eq`, which treats a regular expression like any other value."""
    if isinstance(operand, Regex):
        return _opening(lambda value: type(value) is Regex and equal(value, operand))
    return _equality(operand)


def _in(operand: Any) -> tuple[Match, Match]:
    if not isinstance(operand, list):
        raise StoreError(f"$in and $nin need a list, not {operand!r}")
    simple = {member for member in operand if type(member) in (str, ObjectId)}
    other_tests = [equality(member) for member in operand if type(member) not in (str, ObjectId)]
    if any(is_operators(member) for member in operand):
        raise StoreError("$in cannot contain operators")

    def test(value: Any) -> bool:
        if type(value) in (str, ObjectId) and value in simple:
            return True
        for passes in other_tests:  # noqa: SIM110 (as above)
            if passes(value):
                return True
        return False

    return _opening(test)


def _comparison(name: str) -> Callable[[Any], tuple[Match, Match]]:
    """Return a function that makes a comparison; only values of the operand's type can pass."""
    upwards, inclusive = name.startswith("$gt"), name.endswith("e")

    def compare(operand: Any) -> tuple[Match, Match]:
        key = sort_key(operand)
        rank = key[0]
        if rank in (values.MIN, values.MAX, values.REGEX):
            raise unsupported(f"{name} with {type(operand).__name__}")
        if rank == values.NULL:
            return _opening(equality(None) if inclusive else lambda value: False)
        if rank == values.NUMBER and len(key) == 2:  # NaN: equal to itself, comparable to nothing
            return _opening(equality(operand) if inclusive else lambda value: False)
        return _opening(_bracketed(key, upwards, inclusive))

    return compare


def _bracketed(key: tuple[Any, ...], upwards: bool, inclusive: bool) -> Match:
    rank, size = key[0], len(key)

    def test(value: Any) -> bool:
        if value is MISSING or value is None:
            return False
        value_key = sort_key(value)
        if value_key[0] != rank or (rank == values.NUMBER and len(value_key) != size):
            return False
        if value_key == key:
            return inclusive
        return bool(value_key > key) == upwards

    return test


def _exists_leaf(operand: Any) -> tuple[Match, Match]:
    return _plainly(_exists)


_TYPES: Final[dict[Any, tuple[int, ...]]] = {
    "double": (1,), "string": (2,), "object": (3,), "array": (4,), "binData": (5,),
    "objectId": (7,), "bool": (8,), "date": (9,), "null": (10,), "regex": (11,),
    "int": (16,), "timestamp": (17,), "long": (18,), "decimal": (19,),
    "number": (1, 16, 18, 19),
}  # fmt: skip


def _type_number(value: Any) -> int:
    kind = type(value)
    if kind is int:
        return 16 if -(2**31) <= value < 2**31 else 18
    if kind is Int64:
        return 18
    if kind is float:
        return 1
    if kind is Decimal128:
        return 19
    return _NUMBERS_OF_RANK.get(sort_key(value)[0], 0)


_NUMBERS_OF_RANK: Final = {
    values.NULL: 10, values.STRING: 2, values.OBJECT: 3, values.ARRAY: 4, values.BINARY: 5,
    values.OBJECT_ID: 7, values.BOOL: 8, values.DATE: 9, values.TIMESTAMP: 17, values.REGEX: 11,
}  # fmt: skip


def _type(operand: Any) -> tuple[Match, Match]:
    numbers: set[int] = set()
    for kind in operand if isinstance(operand, list) else [operand]:
        if isinstance(kind, str) and kind in _TYPES:
            numbers.update(_TYPES[kind])
        elif type(kind) in (int, Int64, float) and (int(kind),) in _TYPES.values():
            numbers.add(int(kind))
        else:
            raise unsupported(f"$type {kind!r}", " ".join(_TYPES))
    return _opening(lambda value: value is not MISSING and _type_number(value) in numbers)


def _regex(pattern: Any) -> tuple[Match, Match]:
    return _opening(lambda value: type(value) is str and pattern.search(value) is not None)


def _size(operand: Any) -> tuple[Match, Match]:
    if not values.is_number(operand) or operand != int(operand) or operand < 0:
        raise StoreError(f"$size needs a whole number, not {operand!r}")
    return _plainly(lambda value: type(value) is list and len(value) == operand)


def _everything(path: str, operand: Any) -> Match:
    if not isinstance(operand, list):
        raise StoreError(f"$all needs a list, not {operand!r}")
    if not operand:
        return lambda document: False
    for member in operand:
        if is_operators(member) and list(member) != ["$elemMatch"]:
            raise unsupported(f"{next(iter(member))} within $all", "values and $elemMatch")
    return _all_of([compile_field(path, member) for member in operand])


def _element_match(operand: Any) -> tuple[Match, Match]:
    if not isinstance(operand, dict):
        raise StoreError(f"$elemMatch needs a filter, not {operand!r}")
    if is_operators(operand) and next(iter(operand)) not in ("$and", "$or", "$nor"):
        test = _all_of([_element(*part) for part in _parts(operand)])
    else:
        inner = compile_filter(operand)

        def test(value: Any) -> bool:
            if isinstance(value, list):  # an array inside the array counts as a document
                value = {str(index): member for index, member in enumerate(value)}
            return isinstance(value, dict) and inner(value)

    return _plainly(lambda value: type(value) is list and any(map(test, value)))


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
    maker = _LEAVES.get(name)
    if maker is None:
        raise unsupported(f"{name} within $elemMatch")
    return maker(operand)[1]


def _mod(operand: Any) -> tuple[Match, Match]:
    if (
        not isinstance(operand, list)
        or len(operand) != 2
        or not all(values.is_number(member) for member in operand)
    ):
        raise StoreError(f"$mod needs a list [divisor, remainder], not {operand!r}")
    divisor, remainder = (_whole(member) for member in operand)
    if not divisor:
        raise StoreError("$mod needs a divisor other than 0")

    def test(value: Any) -> bool:
        number = _whole(value) if values.is_number(value) else None
        if number is None:
            return False
        modulo = abs(number) % abs(divisor)  # the sign is the dividend's, as in C
        return (modulo if number >= 0 else -modulo) == remainder

    return _opening(test)


def _whole(value: Any) -> int | None:
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if isinstance(number, int):
        return number
    return int(number) if math.isfinite(number) else None


_LEAVES: Final[dict[str, Callable[[Any], tuple[Match, Match]]]] = {
    "$eq": _exactly,
    "$in": _in,
    "$gt": _comparison("$gt"),
    "$gte": _comparison("$gte"),
    "$lt": _comparison("$lt"),
    "$lte": _comparison("$lte"),
    "$exists": _exists_leaf,
    "$type": _type,
    "$regex": _regex,
    "$size": _size,
    "$elemMatch": _element_match,
    "$mod": _mod,
}
