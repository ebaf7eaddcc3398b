"""What was renamed in the code, and is stored under its old name: how filters find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob.model.registry import stored_names

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
