"""Validators for `field(validator=...)`: those of attrs, and a few that jobs often need.

Every one is called as `validator(document, attribute, value)` and raises ValueError or TypeError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs.validators import (
    and_,
    deep_iterable,
    deep_mapping,
    ge,
    gt,
    in_,
    le,
    lt,
    matches_re,
    max_len,
    min_len,
    not_,
    optional,
    or_,
)

__all__ = [
    "and_",
    "deep_iterable",
    "deep_mapping",
    "ge",
    "gt",
    "in_",
    "in_range",
    "le",
    "lt",
    "matches_re",
    "max_len",
    "min_len",
    "not_",
    "optional",
    "or_",
    "present",
]

V = TypeVar("V", bound=Callable[..., Any])
_BY_VALUE = "__rocketjob_by_value__"


def in_range(minimum: Any, maximum: Any) -> Callable[[Any, Any, Any], None]:
    """Accept values from `minimum` to `maximum`, both included; `range` objects are not needed."""

    def check(document: Any, attribute: Any, value: Any) -> None:
        if not minimum <= value <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum}, not {value!r}")

    vars(check).update(minimum=minimum, maximum=maximum)  # for forms; a class is slower to call
    return by_value(check)


def by_value(validator: V) -> V:
    """Say of a validator that it looks at the value alone, so that it is asked of defaults once."""
    setattr(validator, _BY_VALUE, True)
    return validator


def is_by_value(validator: Any) -> bool:
    """Return whether a validator is known to look at the value alone."""
    return getattr(validator, _BY_VALUE, False) is True


@by_value
def present(document: Any, attribute: Any, value: Any) -> None:
    """Refuse an empty or blank text, and empty containers."""
    if not value or (isinstance(value, str) and not value.strip()):
        raise ValueError("must not be empty")
