"""How a field's value is checked, stored as BSON, loaded, and parsed from text.

`codec_for(annotation)` knows all types that a field may have, nested attrs classes included.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from rocketjob.model.types.anything import check_any, check_record, decode_any, encode_any
from rocketjob.model.types.base import Codec, Misfit, scalar
from rocketjob.model.types.choices import enum_of, literal, union
from rocketjob.model.types.nested import class_of, mapping, sequence, tuple_of
from rocketjob.model.types.scalars import PATTERN, SCALARS
from rocketjob.model.types.times import parse_datetime, plain_datetime

__all__ = [
    "Codec",
    "Misfit",
    "check_any",
    "check_record",
    "codec_for",
    "decode_any",
    "encode_any",
    "parse_datetime",
    "plain_datetime",
]


def codec_for(annotation: Any) -> Codec:
    """Return the codec of a type.

    Raises:
        TypeError: a field cannot have this type.
    """
    try:
        return _cached_codec(annotation)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _make_codec(annotation)


@functools.lru_cache(maxsize=1024)
def _cached_codec(annotation: Any) -> Codec:
    return _make_codec(annotation)


def _make_codec(annotation: Any) -> Codec:
    if annotation in SCALARS:
        return SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return scalar("None", lambda value: value is None)
    if origin is typing.Annotated:
        return codec_for(arguments[0])
    if origin in (Union, types.UnionType):
        return union(annotation, arguments, codec_for)
    if origin is Literal:
        return literal(arguments)
    container = origin or annotation
    if container in (list, set, frozenset):
        return sequence(annotation, container, arguments[0] if arguments else Any, codec_for)
    if container is tuple:
        return tuple_of(annotation, arguments, codec_for)
    if container in (dict, Mapping):
        return mapping(annotation, arguments, codec_for)
    if container is re.Pattern:
        return PATTERN
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return enum_of(annotation)
    if isinstance(annotation, type) and (
        attrs.has(annotation) or dataclasses.is_dataclass(annotation)
    ):
        return class_of(annotation, codec_for)
    raise TypeError(
        f"{annotation!r} is not a type that a field can have: use str, int, float, bool, bytes, "
        "Decimal, date, datetime, timedelta, UUID, ObjectId, an Enum, Literal, list, tuple, set, "
        "dict[str, ...], range, re.Pattern, an attrs class, a dataclass, `... | None` or Any"
    )
