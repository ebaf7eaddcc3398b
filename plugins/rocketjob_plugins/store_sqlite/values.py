"""BSON values: how they are stored, compared, and put in SQLite columns.

MongoDB orders values first by type (null, numbers, strings, objects, arrays, binary, ObjectId,
booleans, dates ...), then within the type. SQLite orders NULL, numbers, text, blobs. A column
holds numbers and strings as they are, and any later type as a blob that starts with the number of
its rank, so that SQLite's order and comparisons are the same as MongoDB's.

A value that has no such form (an array, an object, NaN, a decimal beyond a float) is *inexact*: the
column gets a key that is distinct but does not sort, and a flag takes the column out of use.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from bson.binary import Binary
from bson.code import Code
from bson.dbref import DBRef
from bson.decimal128 import Decimal128, create_decimal128_context
from bson.errors import BSONError, InvalidDocument
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from rocketjob.base.errors import DocumentTooLarge, StoreError, UnsupportedOperation
from rocketjob.store import MAX_DOCUMENT_BYTES, Stored
from rocketjob.store.packing import pack, unpack


class Missing:
    """The value of a field that a document does not have."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

MIN, NULL, NUMBER, STRING, OBJECT, ARRAY, BINARY, OBJECT_ID, BOOL, DATE = range(10)
TIMESTAMP, REGEX, CODE, CODE_SCOPE, MAX = range(10, 15)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DECIMALS: Final = create_decimal128_context()


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the BSON of a document.

    Raises:
        DocumentTooLarge: it is larger than 16 MB.
        StoreError: a value has no BSON form; the message names the field.
    """
    try:
        blob = pack(document)
    except (BSONError, OverflowError, TypeError, ValueError, RecursionError) as error:
        raise _explain(document, error) from error
    if len(blob) > MAX_DOCUMENT_BYTES:
        raise DocumentTooLarge(
            f"The document {document.get('_id')!r} has {len(blob):,} bytes as BSON, and may have "
            f"{MAX_DOCUMENT_BYTES:,}: store its larger part elsewhere, or split it"
        )
    return blob


def decode(blob: bytes) -> Stored:
    """Return the document that was encoded."""
    return unpack(blob)


def normalise(document: Mapping[str, Any]) -> Stored:
    """Return the document as it would be read back: milliseconds, UTC, plain dicts and lists."""
    return decode(encode(document))


def stored(value: Any) -> Any:
    """Return one value as it would be read back."""
    return normalise({"v": value})["v"]


def copy(value: Any) -> Any:
    """Copy the containers of a value, so that no two documents share one."""
    if isinstance(value, dict):
        return {key: copy(member) for key, member in value.items()}
    if isinstance(value, list):
        return [copy(member) for member in value]
    return value


def _explain(document: Mapping[str, Any], error: Exception) -> StoreError:
    path, value = _culprit(document)
    if not path:
        return StoreError(f"The document cannot be stored as BSON: {error}")
    name = type(value).__name__
    reason = "" if isinstance(error, InvalidDocument) else f" ({error})"
    return StoreError(
        f"The field {'.'.join(path)!r} cannot be stored: {name} {value!r:.80} has no BSON "
        f"form{reason}. Convert it to a string, number, date, list or dict first"
    )


def _culprit(value: Any) -> tuple[list[str], Any]:
    """Return the path to the innermost value that cannot be encoded, and the value."""
    if isinstance(value, Mapping):
        members = list(value.items())
    elif isinstance(value, list | tuple):
        members = list(enumerate(value))
    else:
        return [], value
    for key, member in members:
        if not _encodable(key if isinstance(value, Mapping) else "v", member):
            path, culprit = _culprit(member)
            return [str(key), *path], culprit
    return [], value


def _encodable(key: Any, value: Any) -> bool:
    try:
        pack({key: value})
    except (BSONError, OverflowError, TypeError, ValueError, RecursionError):
        return False
    return True


def _number_key(value: Any) -> tuple[Any, ...]:
    if value != value:  # NaN, which MongoDB sorts before every number
        return (NUMBER, 0)
    return (NUMBER, 1, value)


def _decimal_key(value: Decimal128) -> tuple[Any, ...]:
    number = value.to_decimal()
    return (NUMBER, 0) if number.is_nan() else (NUMBER, 1, number)


def _object_key(value: Mapping[str, Any]) -> tuple[Any, ...]:
    fields = []
    for name, member in value.items():
        rank, *rest = sort_key(member)
        fields.append((rank, name, tuple(rest)))
    return (OBJECT, tuple(fields))


def _array_key(value: Any) -> tuple[Any, ...]:
    return (ARRAY, tuple(sort_key(member) for member in value))


def _binary_key(value: bytes) -> tuple[Any, ...]:
    subtype = value.subtype if isinstance(value, Binary) else 0
    return (BINARY, len(value), subtype, bytes(value))


def milliseconds(value: datetime) -> int:
    """Return a time as BSON stores it: whole milliseconds, rounded down; naive times are UTC."""
    return (value - (_NAIVE_EPOCH if value.tzinfo is None else _EPOCH)) // _MILLISECOND


def _code_key(value: Code) -> tuple[Any, ...]:
    if value.scope is None:
        return (CODE, str(value))
    return (CODE_SCOPE, str(value), sort_key(value.scope))


_SORT_KEYS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    Missing: lambda value: (NULL,),
    type(None): lambda value: (NULL,),
    MinKey: lambda value: (MIN,),
    MaxKey: lambda value: (MAX,),
    int: lambda value: (NUMBER, 1, value),
    Int64: lambda value: (NUMBER, 1, int(value)),
    float: _number_key,
    Decimal128: _decimal_key,
    str: lambda value: (STRING, value),
    dict: _object_key,
    list: _array_key,
    bytes: _binary_key,
    Binary: _binary_key,
    UUID: lambda value: (BINARY, 16, 4, value.bytes),
    ObjectId: lambda value: (OBJECT_ID, value.binary),
    bool: lambda value: (BOOL, value),
    datetime: lambda value: (DATE, milliseconds(value)),
    Timestamp: lambda value: (TIMESTAMP, value.time, value.inc),
    Regex: lambda value: (REGEX, value.pattern, value.flags),
    Code: _code_key,
    DBRef: lambda value: _object_key(value.as_doc()),
}


def sort_key(value: Any) -> tuple[Any, ...]:
    """Return a tuple that compares as MongoDB compares the value; equal tuples are equal values."""
    maker = _SORT_KEYS.get(type(value))
    if maker is None:
        value = stored(value)
        maker = _SORT_KEYS.get(type(value))
        if maker is None:
            raise UnsupportedOperation(f"The embedded store cannot compare {type(value).__name__}")
    return maker(value)


_PLAIN: Final = frozenset({str, int, ObjectId, bool, datetime, type(None)})


def equal(first: Any, second: Any) -> bool:
    """Return whether two stored values are equal for MongoDB."""
    kind = type(first)
    if kind is type(second) and kind in _PLAIN:
        return bool(first == second)
    return sort_key(first) == sort_key(second)


def is_number(value: Any) -> bool:
    """Return whether the value has one of BSON's number types."""
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def add(first: Any, second: Any) -> Any:
    """Add two BSON numbers."""
    return _calculate(first, second, lambda a, b: a + b)


def multiply(first: Any, second: Any) -> Any:
    """Multiply two BSON numbers."""
    return _calculate(first, second, lambda a, b: a * b)


def _calculate(first: Any, second: Any, operation: Callable[[Any, Any], Any]) -> Any:
    if isinstance(first, Decimal128) or isinstance(second, Decimal128):
        return Decimal128(
            _DECIMALS.create_decimal(operation(_as_decimal(first), _as_decimal(second)))
        )
    result = operation(first, second)
    if isinstance(result, int) and not -(2**63) <= result < 2**63:
        raise StoreError(f"{result} does not fit in 64 bits: the number was not changed")
    return result


def _as_decimal(value: Any) -> Decimal:
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)


# Columns. Flags are kept per column, see catalog.py.


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
        return _EPOCH + (_DATE.unpack(value)[1] - 2**63) * _MILLISECOND
    if rank == TIMESTAMP:
        return Timestamp(*_TIMESTAMP.unpack(value)[1:])
    subtype = value[5]
    return stored(Binary(value[6:], subtype))


def pattern_of(value: Any, options: str = "") -> re.Pattern[str]:
    """Compile the pattern of a BSON regular expression or of `$regex`.

    Raises:
        StoreError: Python cannot compile it, or an option is unknown.
    """
    flags = 0
    if isinstance(value, Regex):
        flags, value = value.flags & (re.I | re.M | re.S | re.X), value.pattern
    for option in options:
        if option not in "imsxu":
            raise StoreError(f"Unknown option {option!r} in $options: only i m s x u are known")
        flags |= 0 if option == "u" else getattr(re, option.upper())
    try:
        return re.compile(value, flags)
    except (re.error, TypeError) as error:
        raise StoreError(f"The regular expression {value!r} cannot be used: {error}") from error
