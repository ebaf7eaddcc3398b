"""What the filters and updates of MongoDB's language look like, and which operators are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rocketjob.base.errors import StoreError, UnsupportedOperation

FILTER_OPERATORS: Final = (
    "$and $or $nor $not $eq $ne $gt $gte $lt $lte $in $nin $exists $type $regex $options $size "
    "$all $elemMatch $mod $comment"
)
UPDATE_OPERATORS: Final = (
    "$set $setOnInsert $unset $inc $mul $min $max $rename $push (with $each $slice $position) "
    "$addToSet (with $each) $pull $pullAll $pop"
)


def unsupported(name: str, supported: str = FILTER_OPERATORS) -> UnsupportedOperation:
    """Return an error that names what is not supported, and what is."""
    return UnsupportedOperation(
        f"This store does not support {name!r}. Supported: {supported}. "
        "Evaluate it in Python, or use a MongoDB store"
    )


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


def fields_of(filter: Mapping[str, Any]) -> frozenset[str]:
    """Return the top-level fields that a filter looks at."""
    fields: set[str] = set()
    for key, condition in filter.items():
        if not key.startswith("$"):
            fields.add(key.partition(".")[0])
        elif key != "$comment":
            fields.update(*map(fields_of, clauses(key, condition)))
    return frozenset(fields)
