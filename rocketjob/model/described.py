"""What a field's values may be, for forms and help: the choices there are, and the range."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from rocketjob.model.fields import Field

_LEAST, _MOST = (operator.ge, operator.gt), (operator.le, operator.lt)


def choices_of(field: Field) -> tuple[Any, ...] | None:
    """Return all values that a field can have besides None, if its type or its validator says."""
    for validator in _validators(field.validator):
        options = getattr(validator, "options", None)
        if options is not None:
            return tuple(options)
    return field.codec.choices


def bounds_of(field: Field) -> tuple[Any, Any]:
    """Return the least and the greatest value of a field; None where there is no bound."""
    least = most = None
    step = int(field.codec.name == "int")  # what is excluded leaves a bound only of whole numbers
    for validator in _validators(field.validator):
        least = getattr(validator, "minimum", least)
        most = getattr(validator, "maximum", most)
        compare = getattr(validator, "compare_func", None)
        if compare in _LEAST:
            least = validator.bound if compare is operator.ge else validator.bound + step
        elif compare in _MOST:
            most = validator.bound if compare is operator.le else validator.bound - step
    return least, most


def _validators(validator: Any) -> Iterator[Any]:
    """Yield a validator, or those that are put together in it."""
    if validator is None:
        return
    inner = getattr(validator, "_validators", None) or getattr(validator, "validator", None)
    if inner is None:
        yield validator
        return
    for each in inner if isinstance(inner, tuple | list) else [inner]:
        yield from _validators(each)
