"""Values as text, in a line and in JSON: what has no form there is refused, never its `repr`."""

from __future__ import annotations

import enum
import json
import numbers
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from typing import Any
from uuid import UUID

from bson import Decimal128, ObjectId

from rocketjob_plugins.batch.streams.errors import StreamError

_WRITTEN = (str, numbers.Real, numbers.Number, timedelta, UUID, ObjectId, Decimal128, PurePath)
_PLAIN = frozenset({str, int, float, type(None)})  # what csv writes as we would


def text_of(value: Any) -> str:
    """Return a value as it stands in a line of text.

    Raises:
        StreamError: it has no form there, such as bytes or a set.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return text_of(value.value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return json_of(value)
    if isinstance(value, _WRITTEN) and not isinstance(value, complex):
        return str(value)
    raise StreamError(f"{_article(value)} cannot be written as text: make it a str")


def texts_of(values: Iterable[Any]) -> list[Any]:
    """Return values as csv takes them; an error has the number of the value as its column."""
    values = list(values)
    try:
        return [value if value.__class__ in _PLAIN else text_of(value) for value in values]
    except StreamError:
        for number, value in enumerate(values, 1):
            try:
                text_of(value)
            except StreamError as error:
                raise StreamError(error.problem, column=number) from None
        raise


def line_of(record: Any) -> str:
    """Return a record of any kind as a line; bytes are UTF-8."""
    if isinstance(record, bytes):
        try:
            return record.decode()
        except UnicodeDecodeError:
            raise StreamError("bytes that are not UTF-8 cannot be written as a line") from None
    return record if isinstance(record, str) else text_of(record)


def check_utf8(text: str) -> str:
    """Return a text that UTF-8 can write; others came from bytes that were no text."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StreamError(
                f"the character {text[error.start]!r} cannot be written as UTF-8"
            ) from None
    return text


def check_line(text: str) -> str:
    """Return a text that is one line; another one would be read as several records."""
    if "\n" in text or "\r" in text:
        raise StreamError(
            "a text with a line break would be more than one line: set the output's format, for "
            'example "json", or format_options={"line_breaks": "keep"} to write it all the same'
        )
    return text


def writable(text: str) -> str:
    """Return a text that a file and a store can hold: half a character as its number."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _in_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return int(value) if isinstance(value, numbers.Integral) else text_of(value)


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_in_json
).encode


def json_of(value: Any) -> str:
    """Return JSON on one line.

    Raises:
        StreamError: it holds something that JSON does not, such as NaN or a number as a key.
    """
    try:
        _check_keys(value)
        return _encode(value)
    except StreamError as error:
        raise StreamError(f"cannot be written as JSON: {error.problem}") from None
    except (ValueError, TypeError) as error:
        raise StreamError(f"cannot be written as JSON: {error}") from None
    except RecursionError:
        raise StreamError("cannot be written as JSON: it is nested too deeply") from None


def _check_keys(value: Any) -> None:
    """Refuse keys that are not strings: JSON would make them text, and two of them one."""
    if value.__class__ is dict or isinstance(value, Mapping):  # the first is quick to see
        for key, item in value.items():
            if not isinstance(key, str):
                raise StreamError(f"the key {key!r} must be a str")
            if item.__class__ not in _PLAIN:
                _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            if item.__class__ not in _PLAIN:
                _check_keys(item)


def _article(value: Any) -> str:
    name = type(value).__name__
    if isinstance(value, bytes):
        return name
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
