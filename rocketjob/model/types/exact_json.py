"""Parse JSON and lose nothing: a number that cannot be kept as it is written is an error."""

from __future__ import annotations

import functools
import json
import math
import re
from decimal import Decimal
from typing import Any

SURE = 15  # decimal digits that a float always keeps
MOST = 767  # significant digits of any float
_LONG = b"0" * (SURE + 1)
_DIGITS = bytes.maketrans(b"123456789.E+", b"0000000000e-")
_EXPONENT = re.compile(rb"e-?000")
_FLOAT = re.compile("[0-9][.eE]")


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


def loads_each(lines: list[str]) -> list[Any]:
    """Parse one JSON value from each line, with nothing around it.

    To call a function for each number and each object takes longer than to parse them. Where the
    first line is of the kind for which that can be spared, the whole text shows whether it was.

    Raises:
        ValueError: a line is not JSON or is `Inexact`; to parse them one by one says which and why.
    """
    text, first = "\n".join(lines), lines[0] if lines else ""
    numbers = _FLOAT.search(first) is None or _may_lose_numbers(text)
    names = first.count("{") != 1 or first.count(":") != first.count('":')
    values = _scan(lines, decoder(numbers, names))
    if names or _has_each_name_once(text, values):
        return values
    strict = decoder(numbers, True)
    return [
        value if _has_each_name_once(line, [value]) else strict.decode(line)
        for line, value in zip(lines, values, strict=True)
    ]


class Decoder(json.JSONDecoder):
    """A decoder that loses nothing; what it does not keep is `Inexact`.

    Args:
        numbers: floats are looked at.
        names: objects are looked at.
    """

    def __init__(self, numbers: bool = True, names: bool = True) -> None:
        super().__init__(
            parse_float=_float if numbers else None,
            parse_constant=_constant,
            object_pairs_hook=_object if names else None,
        )


decoder = functools.cache(Decoder)


def _scan(lines: list[str], decoder: Any) -> list[Any]:
    scan = decoder.scan_once
    try:
        pairs = [scan(line, 0) for line in lines]
    except StopIteration:
        raise ValueError("a line is not JSON") from None
    if all(end == len(line) for (_, end), line in zip(pairs, lines, strict=True)):
        return [value for value, _ in pairs]
    raise ValueError("there is something around a value")


def _may_lose_numbers(text: str) -> bool:
    """Return whether a float may have too many digits, or be too large or small, for all of them.

    All digits and points are made a 0 first, since to search for those is quick.
    """
    marks = text.encode("ascii", "replace").translate(_DIGITS)
    return _LONG in marks or _EXPONENT.search(marks) is not None


def _has_each_name_once(text: str, values: list[Any]) -> bool:
    """Return whether it is certain that no name is lost: there are as many as there are colons."""
    return {dict}.issuperset(map(type, values)) and text.count(":") == sum(map(len, values))


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
