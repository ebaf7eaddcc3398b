"""Scalar types: `SCALARS` says how a value of each is checked, stored, loaded and parsed.

A type in that table can be a field's. `Any` fields and the arguments of perform have no declared
type: what they hold, and the tag of what BSON has no type for, is in `anything`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import pendulum
from bson import Decimal128, ObjectId, Regex
from bson.errors import InvalidId
from bson.int64 import Int64

from rocketjob.base.text import truth
from rocketjob.model.types.base import Codec, instance_of, shown, wanted
from rocketjob.model.types.times import (
    aware_datetime,
    check_datetime,
    check_timedelta,
    load_datetime,
    load_timedelta,
    parse_date,
    parse_datetime,
    parse_duration,
    plain_datetime,
)

INT64 = 2**63


def check_int(value: Any) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return wanted("int", value)
    if not -INT64 <= value < INT64:
        return f"must fit into 64 bits, not {shown(value)}"
    return None


def _check_float(value: Any) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return wanted("float", value)
    try:
        float(value)
    except OverflowError:
        return wanted("float", value)
    return None


def _check_date(value: Any) -> str | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return None
    return wanted("date", value)


def check_range(value: Any) -> str | None:
    if not isinstance(value, range):
        return wanted("range", value)
    return check_int(value.start) or check_int(value.stop) or check_int(value.step)


def check_pattern(value: Any) -> str | None:
    if not isinstance(value, re.Pattern):
        return wanted("a regular expression", value)
    if not isinstance(value.pattern, str) or "\0" in value.pattern:
        return f"must be a regular expression of text without NUL, not {shown(value)}"
    return check_text(value.pattern)


def check_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return wanted("str", value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"cannot be stored as UTF-8: {error.reason} at character {error.start + 1}"
    return None


def check_decimal(value: Any) -> str | None:
    if not isinstance(value, Decimal):
        return wanted("Decimal", value)
    try:
        Decimal128(value)
    except (ValueError, ArithmeticError):
        return f"must have at most 34 digits, not {shown(value)}"
    return None


def parse_bool(text: str) -> bool:
    meant = truth(text)
    if meant is None:
        raise ValueError(f"must be true or false, not {text!r}")
    return meant


def _parse_decimal(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"must be a decimal number, not {text!r}") from None


def _number(kind: type, name: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind(text.strip())
        except ValueError:
            raise ValueError(f"must be {name}, not {text!r}") from None

    return parse


def _parse_float(text: str) -> float:
    number: float = _number(float, "a number")(text)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"must fit into a float, not {text!r}")
    return number


def _parse_object_id(text: str) -> ObjectId:
    try:
        return ObjectId(text.strip())
    except InvalidId:
        raise ValueError(f"must be an id of 24 hexadecimal digits, not {text!r}") from None


def _parse_range(text: str) -> range:
    try:
        return range(*(int(part) for part in re.split(r"\.\.|:", text.strip())))
    except (TypeError, ValueError):
        raise ValueError(f"must be a range such as 1:10 or 1:10:2, not {text!r}") from None


def _load_range(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return range(value["start"], value["stop"], value["step"])


def _parse_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None


NONE = instance_of("None", type(None), optional=True)
PATTERN = Codec(
    "a regular expression",
    check_pattern,
    lambda value: Regex.from_native(value),
    lambda value: value.try_compile() if isinstance(value, Regex) else value,
    _parse_pattern,
)
SCALARS: dict[Any, Codec] = {
    str: Codec("str", check_text, parse=lambda text: text, loads_as=(str,)),
    int: Codec("int", check_int, parse=_number(int, "a whole number"), loads_as=(int, Int64)),
    float: Codec("float", _check_float, float, parse=_parse_float, loads_as=(float, int, Int64)),
    bool: instance_of("bool", bool, parse=parse_bool, choices=(True, False)),
    bytes: instance_of(
        "bytes",
        bytes,
        decode=lambda value: bytes(value) if isinstance(value, bytes) else value,
        parse=lambda text: text.encode(),
    ),
    Decimal: Codec(
        "Decimal",
        check_decimal,
        lambda value: Decimal128(value),
        lambda value: value.to_decimal() if isinstance(value, Decimal128) else value,
        _parse_decimal,
    ),
    datetime: Codec(
        "datetime",
        check_datetime,
        plain_datetime,
        load_datetime,
        parse_datetime,
        convert=aware_datetime,
        loads_as=(pendulum.DateTime,),
    ),
    date: Codec(
        "date",
        _check_date,
        lambda value: value.isoformat(),
        lambda value: date.fromisoformat(value) if isinstance(value, str) else value,
        parse_date,
        loads_as=(date,),
    ),
    timedelta: Codec(
        "timedelta", check_timedelta, timedelta.total_seconds, load_timedelta, parse_duration
    ),
    UUID: instance_of("UUID", UUID, parse=_number(UUID, "a UUID")),
    ObjectId: instance_of("an id (ObjectId)", ObjectId, parse=_parse_object_id),
    range: Codec(
        "range",
        check_range,
        lambda value: {"start": value.start, "stop": value.stop, "step": value.step},
        _load_range,
        _parse_range,
    ),
}
"""The codec of each scalar type; a new one goes here."""
SCALARS[pendulum.DateTime] = SCALARS[datetime]
