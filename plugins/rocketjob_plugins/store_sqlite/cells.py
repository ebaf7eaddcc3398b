"""How BSON values are put in SQLite columns, so that both sort alike.

SQLite orders NULL, numbers, text, blobs. A column holds numbers and strings as they are, and any
later type as a blob that starts with the number of its rank (see `values`), so that SQLite's order
and comparisons are the same as MongoDB's.

A value that has no such form (an array, an object, NaN, a decimal beyond a float) is *inexact*: the
column gets a key that is distinct but does not sort, and a flag takes the column out of use. Flags
are kept for each column: see `table`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from rocketjob.store.documents.values import (
    BINARY,
    BOOL,
    DATE,
    EPOCH,
    MILLISECOND,
    MISSING,
    NULL,
    OBJECT,
    OBJECT_ID,
    TIMESTAMP,
    Missing,
    milliseconds,
    sort_key,
    stored,
)


class InexactError(Exception):
    """The value has no column form that sorts; `key` still distinguishes it from other values."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        super().__init__(key)


def _inexact(value: Any) -> Any:
    raise InexactError(bytes([OBJECT]) + repr(_canonical(sort_key(value))).encode())


def _canonical(key: Any) -> Any:
    """Return a sort key in which equal numbers have the same representation."""
    if isinstance(key, tuple):
        return tuple(_canonical(part) for part in key)
    if isinstance(key, float) and key.is_integer():
        return int(key)
    if isinstance(key, Decimal) and key.is_finite():
        same_float = float(key)
        if math.isfinite(same_float) and Decimal(same_float) == key:
            return _canonical(same_float)
        return key.normalize()
    return key


def _float_column(value: float) -> Any:
    return value if value == value else _inexact(value)  # SQLite stores NaN as NULL


def _decimal_column(value: Decimal128) -> Any:
    number = value.to_decimal()
    if number.is_finite():
        if number == number.to_integral_value() and abs(number) < 2**63:
            return int(number)
        as_float = float(number)
        if math.isfinite(as_float) and Decimal(as_float) == number:
            return as_float
    return _inexact(value)


_LENGTH_AND_SUBTYPE = struct.Struct(">IB")
_DATE = struct.Struct(">BQ")
_TIMESTAMP = struct.Struct(">BII")
_OBJECT_ID_PREFIX = bytes([OBJECT_ID])
_BOOLS = {False: bytes([BOOL, 0]), True: bytes([BOOL, 1])}


def _binary_column(value: bytes) -> bytes:
    subtype = value.subtype if isinstance(value, Binary) else 0
    return bytes([BINARY]) + _LENGTH_AND_SUBTYPE.pack(len(value), subtype) + bytes(value)


def _date_column(value: datetime) -> bytes:
    return _DATE.pack(DATE, milliseconds(value) + 2**63)


class _Slot(datetime):
    """A placeholder for a time that is filled in later: see query.py."""

    number: int


class SlotColumn(bytes):
    """The placeholder of that time in a column."""

    number: int


def slot(number: int) -> datetime:
    """Return the placeholder for a time with this number."""
    stand_in = _Slot(1970, 1, 1, tzinfo=UTC)
    stand_in.number = number
    return stand_in


def _slot_column(value: Any) -> SlotColumn:
    column = SlotColumn(_date_column(value))
    column.number = value.number
    return column


COLUMNS: Final[dict[type, Callable[[Any], Any]]] = {
    Missing: lambda value: None,
    type(None): lambda value: None,
    int: lambda value: value,
    Int64: int,
    float: _float_column,
    Decimal128: _decimal_column,
    str: lambda value: value,
    bytes: _binary_column,
    Binary: _binary_column,
    UUID: lambda value: _binary_column(Binary(value.bytes, 4)),
    ObjectId: lambda value: _OBJECT_ID_PREFIX + value.binary,
    bool: _BOOLS.__getitem__,
    datetime: _date_column,
    _Slot: _slot_column,
    Timestamp: lambda value: _TIMESTAMP.pack(TIMESTAMP, value.time, value.inc),
}


def column(value: Any) -> Any:
    """Return the value as SQLite stores it in a column.

    Raises:
        InexactError: it has no form that sorts correctly.
    """
    maker = COLUMNS.get(type(value))
    if maker is None:
        value = stored(value)
        maker = COLUMNS.get(type(value), _inexact)
    return maker(value)


def key_column(value: Any) -> Any:
    """Return a key that distinguishes the value and is never NULL, for `_id` and unique keys."""
    if value is None or value is MISSING:
        return bytes([NULL])
    try:
        return column(value)
    except InexactError as inexact:
        return inexact.key


def compound_key(parts: list[Any]) -> bytes:
    """Return a key that distinguishes a combination of values."""
    return repr(_canonical(tuple(key_column(part) for part in parts))).encode()


def from_column(value: Any) -> Any:
    """Return the BSON value of an exact column; the inverse of `column`."""
    if not isinstance(value, bytes):
        return value
    rank = value[0]
    if rank == OBJECT_ID:
        return ObjectId(value[1:])
    if rank == BOOL:
        return value[1] == 1
    if rank == DATE:
        return EPOCH + (_DATE.unpack(value)[1] - 2**63) * MILLISECOND
    if rank == TIMESTAMP:
        return Timestamp(*_TIMESTAMP.unpack(value)[1:])
    subtype = value[5]
    return stored(Binary(value[6:], subtype))
