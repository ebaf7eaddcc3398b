"""Validators for `field(validator=...)`: those of attrs, and a few that jobs often need.

Every one is called as `validator(document, attribute, value)` and raises ValueError or TypeError.
"""

from __future__ import annotations

from typing import Any

import attrs
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


@attrs.frozen
class in_range:
    """Accept values from `minimum` to `maximum`, both included; `range` objects are not needed."""

    minimum: Any
    maximum: Any

    def __call__(self, document: Any, attribute: Any, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be from {self.minimum} to {self.maximum}, not {value!r}")


def present(document: Any, attribute: Any, value: Any) -> None:
    """Refuse an empty or blank text, and empty containers."""
    if not value or (isinstance(value, str) and not value.strip()):
        raise ValueError("must not be empty")
