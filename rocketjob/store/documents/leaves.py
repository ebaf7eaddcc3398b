"""Tests of one value: what each operator of a filter asks of it, whichever field it is from.

A `Leaf` is two tests: of a field's value, which passes if it is an array with a member that does,
and of one member of an array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex

from rocketjob.base.errors import StoreError
from rocketjob.store.documents import values
from rocketjob.store.documents.language import is_operators, unsupported
from rocketjob.store.documents.values import MISSING, equal, sort_key

Match = Callable[[Any], bool]
Leaf = tuple[Match, Match]


def _opening(test: Match) -> Leaf:
    """Return a test for a leaf, which an array passes if it or one of its members does."""

    def leaf(value: Any) -> bool:
        if type(value) is not list:
            return test(value)
        for member in value:
            if test(member):
                return True
        return test(value)

    return leaf, test


def plainly(test: Match) -> Leaf:
    """Return a test for a leaf that is not opened, should it be an array."""
    return test, test


def exists(value: Any) -> bool:
    """Return whether there is a value, null included."""
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


def field_equality(operand: Any) -> Leaf:
    return _opening(equality(operand))


def _exactly(operand: Any) -> Leaf:
    """Return the test for `$eq`, which treats a regular expression like any other value."""
    if isinstance(operand, Regex):
        return _opening(lambda value: type(value) is Regex and equal(value, operand))
    return field_equality(operand)


def _in(operand: Any) -> Leaf:
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


def _comparison(name: str) -> Callable[[Any], Leaf]:
    """Return a function that makes a comparison; only values of the operand's type can pass."""
    upwards, inclusive = name.startswith("$gt"), name.endswith("e")

    def compare(operand: Any) -> Leaf:
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


def _exists_leaf(operand: Any) -> Leaf:
    return plainly(exists)


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


def _type(operand: Any) -> Leaf:
    numbers: set[int] = set()
    for kind in operand if isinstance(operand, list) else [operand]:
        if isinstance(kind, str) and kind in _TYPES:
            numbers.update(_TYPES[kind])
        elif type(kind) in (int, Int64, float) and (int(kind),) in _TYPES.values():
            numbers.add(int(kind))
        else:
            raise unsupported(f"$type {kind!r}", " ".join(_TYPES))
    return _opening(lambda value: value is not MISSING and _type_number(value) in numbers)


def _regex(pattern: Any) -> Leaf:
    return _opening(lambda value: type(value) is str and pattern.search(value) is not None)


def _size(operand: Any) -> Leaf:
    if not values.is_number(operand) or operand != int(operand) or operand < 0:
        raise StoreError(f"$size needs a whole number, not {operand!r}")
    return plainly(lambda value: type(value) is list and len(value) == operand)


def _mod(operand: Any) -> Leaf:
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


LEAVES: Final[dict[str, Callable[[Any], Leaf]]] = {
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
    "$mod": _mod,
}
