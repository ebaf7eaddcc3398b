"""Values of no declared type, as `Any` fields and the arguments of perform hold them.

Those that BSON has no type for (date, timedelta, set ...) are stored as
`{"__rocketjob__": type, "value": ...}`, so that they come back as they were.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson import Binary, Decimal128, ObjectId, Regex

from rocketjob.base.clock import to_utc
from rocketjob.base.text import at
from rocketjob.model.types import exact_json
from rocketjob.model.types.base import TOO_DEEP, Codec, first, shown
from rocketjob.model.types.scalars import (
    SCALARS,
    check_decimal,
    check_int,
    check_pattern,
    check_range,
    check_text,
)
from rocketjob.model.types.sealed import Sealed
from rocketjob.model.types.times import check_datetime, check_timedelta

TAG = "__rocketjob__"
_NATIVE = (str, int, float, bool, type(None), bytes, ObjectId, UUID, Binary)
_SEALED = Codec("sealed", lambda value: None, lambda value: value.data, Sealed)
_CHECKS: dict[type, Callable[[Any], str | None]] = {
    str: check_text,
    datetime: check_datetime,
    Decimal: check_decimal,
    timedelta: check_timedelta,
    range: check_range,
    re.Pattern: check_pattern,
}
_TAGGED: dict[str, tuple[type, Codec]] = {
    "sealed": (Sealed, _SEALED),
    "date": (date, SCALARS[date]),
    "timedelta": (timedelta, SCALARS[timedelta]),
    "range": (range, SCALARS[range]),
}


def check_any(
    value: Any, keys: Callable[[Mapping[Any, Any]], str | None] | None = None
) -> str | None:
    """Say why a value of no declared type cannot be stored, or return None.

    Args:
        keys: says what is wrong with the keys of a mapping, in the place of `check_keys`.
    """
    for kind, check in _CHECKS.items():
        if isinstance(value, kind):
            return check(value)
    if isinstance(value, int) and not isinstance(value, bool | enum.Enum):
        return check_int(value)
    if isinstance(value, Mapping):
        return (keys or check_keys)(value) or first(
            at(f"[{key!r}]", message)
            for key, item in value.items()
            if (message := check_any(item, keys))
        )
    if isinstance(value, list | tuple | set | frozenset):
        return first(
            at(f"[{index}]", message)
            for index, item in enumerate(value)
            if (message := check_any(item, keys))
        )
    if isinstance(value, (*_NATIVE, date, Sealed)):
        return None if not isinstance(value, enum.Enum) else _cannot_store(value)
    return _cannot_store(value)


def _cannot_store(value: Any) -> str:
    return f"cannot be stored: {shown(value)} is not a type that a document holds"


def check_record(value: Any) -> str | None:
    """Say why a batch record cannot be stored: nothing filters by its keys, any text is one."""
    try:
        return check_any(value, check_texts_as_keys)
    except RecursionError:
        return TOO_DEEP


def check_keys(value: Mapping[Any, Any]) -> str | None:
    for key in value:
        if isinstance(key, str) and key.isidentifier() and key != TAG:
            continue  # as nearly all are
        if isinstance(key, str) and (key.startswith("$") or "." in key or "\0" in key):
            return f"has the key {key!r}: keys may not contain '.' nor begin with '$'"
        if message := _check_key(key):
            return message
    return None


def check_texts_as_keys(value: Mapping[Any, Any]) -> str | None:
    return first(message for key in value if (message := _check_key(key)))


def _check_key(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"must have text as keys, not {shown(key)}"
    if "\0" in key:
        return f"has the key {key!r}: keys may not contain '\\0'"
    if key == TAG:
        return f"has the key {key!r}, which marks values of special types: choose another"
    message = check_text(key)
    return message and f"has the key {key!r}, which {message}"


def encode_any(value: Any) -> Any:
    """Return the BSON of a value of no declared type."""
    kind = type(value)
    if kind in _NATIVE:
        return value
    if isinstance(value, Mapping):
        return {key: encode_any(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encode_any(item) for item in value]
    if isinstance(value, tuple | set | frozenset):
        items = [encode_any(item) for item in value]
        if isinstance(value, tuple):
            return {TAG: "tuple", "value": items}
        return {TAG: "set", "value": sorted(items, key=repr)}  # always the same for an equal set
    if isinstance(value, datetime):
        return to_utc(value) if value.tzinfo else value
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, re.Pattern):
        return Regex.from_native(value)
    for name, (type_, codec) in _TAGGED.items():
        if isinstance(value, type_) and codec.encode:
            return {TAG: name, "value": codec.encode(value)}
    return value


def decode_any(value: Any) -> Any:
    """Undo `encode_any`."""
    kind = type(value)
    if kind is dict:
        if TAG in value:
            return _decode_tagged(value)
        return {key: decode_any(item) for key, item in value.items()}
    if kind is list:
        return [decode_any(item) for item in value]
    if isinstance(value, datetime):
        return to_utc(value)
    if kind is Decimal128:
        return value.to_decimal()
    if kind is Regex:
        return value.try_compile()
    return value


def _decode_tagged(value: dict[str, Any]) -> Any:
    name: str = value[TAG]
    inner: Any = value.get("value")
    if name == "tuple":
        return tuple(decode_any(item) for item in inner)
    if name == "set":
        return {decode_any(item) for item in inner}
    if name in _TAGGED:
        decode = _TAGGED[name][1].decode
        return decode(inner) if decode else inner
    return value


def _parse_json(text: str) -> Any:
    """Parse JSON; other text stays as it is, and so does a number that would read differently.

    `00501`, `1.10` and `77950e8` may be codes: only a declared number is one.
    """
    try:
        value = exact_json.loads(text)
    except exact_json.Inexact:
        if text.lstrip()[:1] in ("[", "{"):
            raise
        return text
    except ValueError:
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and str(value) != text else value


ANY = Codec(
    "any value", check_any, encode_any, decode_any, _parse_json, optional=True, mutable=True
)
