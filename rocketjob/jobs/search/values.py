"""What stands behind the colon of a field, by the field's type."""

from __future__ import annotations

import contextlib
import enum
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson import ObjectId

from rocketjob.model.types import Codec
from rocketjob.model.types.anything import ANY

_SCALARS = (str, bool, int, float, Decimal, date, timedelta, UUID, ObjectId, bytes, enum.Enum)
_ORDERED = (str, int, float, Decimal, date, timedelta)
_SOME_TIME = datetime(2026, 1, 31, tzinfo=UTC)
_NUMBER = re.compile(r"[-+]?\d{1,300}(\.\d{1,300})?", re.ASCII)
_PATTERN = re.compile("")
INT64 = 2**63


def is_time(codec: Codec) -> bool:
    """Return whether the values of a type are times, and nothing else."""
    sought = codec.item or codec
    return sought.check(_SOME_TIME) is None and sought.check("") is not None


def holds_others(codec: Codec) -> bool:
    """Return whether the values of a type have parts with names, of which one has to be given."""
    return (codec.item or codec).nested is not None


def values_of(codecs: Sequence[Codec], text: str) -> list[Any]:
    """Return what a text can mean as a value of one of some types; most have one.

    Raises:
        ValueError: it is a value of none of them; the message says what would be.
    """
    values: list[Any] = []
    problem: ValueError | None = None
    for codec in codecs:
        try:
            values += [value for value in _values(codec, text) if not _is_in(value, values)]
        except ValueError as error:
            problem = problem or error
    if not values:
        raise problem or ValueError("has no values that could be compared")
    return values


def _is_in(value: Any, values: Iterable[Any]) -> bool:
    return any(type(value) is type(other) and value == other for other in values)


def _values(codec: Codec, text: str) -> list[Any]:
    sought = codec.item or codec  # of a list it is an item that is looked for
    if sought is ANY:
        return list(loose(text))
    if sought.check(_PATTERN) is None:
        raise ValueError("holds regular expressions, which cannot be searched")
    values = [text] if sought.check(text) is None else []
    if sought.parse is not None and not (values and sought.name == "str"):
        value = _parsed(sought, text)
        if sought.check(value) is None and not _is_in(value, values):
            values.append(value)
    found = [value for value in values if isinstance(value, _SCALARS)]
    if not found:
        raise ValueError(sought.check(text) or "has no values that could be compared")
    return found


def _parsed(codec: Codec, text: str) -> Any:
    value = codec.from_text(text)
    if value is not None and (message := codec.check(value)):
        raise ValueError(message)
    return value


def loose(text: str) -> Iterator[Any]:
    """Yield what a text can mean where no type is declared: itself, a number, true or false."""
    yield text
    if text.lower() in ("true", "false"):
        yield text.lower() == "true"
    if _NUMBER.fullmatch(text):
        with contextlib.suppress(ValueError):
            number: int | float = float(text) if "." in text else int(text)
            if math.isfinite(number) and -INT64 <= number < INT64:
                yield number


def ordered(values: Sequence[Any]) -> list[Any]:
    """Return those of some values that one can be less than; numbers, where there are any."""
    kept = [v for v in values if isinstance(v, _ORDERED) and not isinstance(v, bool | enum.Enum)]
    return [value for value in kept if not isinstance(value, str)] or kept
