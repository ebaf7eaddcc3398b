"""Parse JSON and lose nothing: a number that cannot be kept as it is written is an error."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

SURE = 15  # decimal digits that a float always keeps
MOST = 767  # significant digits of any float


class Inexact(ValueError):
    """It is JSON, and Python would not keep all of it.

    Attributes:
        name: that is there twice, if that is the reason.
    """

    def __init__(self, problem: str, name: str | None = None) -> None:
        super().__init__(problem)
        self.name = name


def loads(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: it is not JSON.
        Inexact: a number has too many digits for a float, or a name is there twice.
    """
    return json.loads(text, cls=Decoder)


class Decoder(json.JSONDecoder):
    """A decoder that loses nothing; what it does not keep is `Inexact`."""

    def __init__(self) -> None:
        super().__init__(parse_float=_float, parse_constant=_constant, object_pairs_hook=_object)


def _float(text: str) -> float:
    found = float(text)
    # Too short to lose anything, or as nearly all programs write it: both are quick to see.
    if (len(text) <= SURE and "e" not in text and "E" not in text) or repr(found) == text:
        return found
    if math.isinf(found) or not _is_kept(found, Decimal(text)):
        raise Inexact(f"the number {text} cannot be kept as it is: put it in double quotes")
    return found


def _is_kept(found: float, number: Decimal) -> bool:
    """Return whether a number is how the float is written, be it with more digits than it needs."""
    if number == Decimal(repr(found)):
        return True
    digits = len(number.as_tuple().digits)
    return SURE < digits <= MOST and Decimal(format(found, f".{digits - 1}e")) == number


def _constant(text: str) -> float:
    raise Inexact(f"{text} is not a number in JSON: put it in double quotes")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Inexact(f"the name {twice!r} is there twice", twice)
    return found
