"""BSON values: how they are stored, compared and calculated with.

MongoDB orders values first by type (null, numbers, strings, objects, arrays, binary, ObjectId,
booleans, dates ...), then within the type.
"""

from __future__ import annotations

import re
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
from rocketjob.store.packing import pack, unpack
from rocketjob.store.port import MAX_DOCUMENT_BYTES
from rocketjob.store.unit import Stored


class Missing:
    """The value of a field that a document does not have."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

MIN, NULL, NUMBER, STRING, OBJECT, ARRAY, BINARY, OBJECT_ID, BOOL, DATE = range(10)
TIMESTAMP, REGEX, CODE, CODE_SCOPE, MAX = range(10, 15)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)
MILLISECOND: Final = timedelta(milliseconds=1)
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
        which = f" {document['_id']!r}" if "_id" in document else ""  # a part of one has none
        raise DocumentTooLarge(
            f"The document{which} has {len(blob):,} bytes as BSON, and may have "
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
        return {key: copy(v) if isinstance(v, _CONTAINERS) else v for key, v in value.items()}
    if isinstance(value, list):
        return [copy(v) if isinstance(v, _CONTAINERS) else v for v in value]
    return value


_CONTAINERS: Final = (dict, list)


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
    return (value - (_NAIVE_EPOCH if value.tzinfo is None else EPOCH)) // MILLISECOND


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
            raise UnsupportedOperation(f"This store cannot compare {type(value).__name__}")
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
