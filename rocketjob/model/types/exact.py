"""JSON of which nothing is lost: a number that cannot be kept as it is written is an error."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any


class Inexact(ValueError):
    """It is JSON, and Python would not keep all of it."""


def loads(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is no JSON.
        Inexact: a number has too many digits for a float, or a name is there twice.
    """
    return json.loads(text, parse_float=_float, parse_constant=_constant, object_pairs_hook=_object)


def _float(text: str) -> float:
    found = float(text)
    if math.isinf(found) or Decimal(text) != Decimal(repr(found)):
        raise Inexact(f"the number {text} cannot be kept as it is: put it in double quotes")
    return found


def _constant(text: str) -> float:
    raise Inexact(f"{text} is not a number in JSON: put it in double quotes")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Inexact(f"the name {repeated_name(pairs)!r} is there twice")
    return found


def repeated_name(pairs: list[tuple[str, Any]]) -> str:
    """Return the first name that the pairs of an object have twice."""
    names = [name for name, _ in pairs]
    return next(name for name in names if names.count(name) > 1)
