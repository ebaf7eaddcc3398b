"""Which types a field may have: `codec_for` returns the codec of each.

A new scalar goes in the table of `scalars`; what is one of several in `choices`; what holds other
values in `nested`.
"""

from __future__ import annotations

import enum
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from rocketjob.model.types.anything import ANY
from rocketjob.model.types.base import Codec, has_attributes
from rocketjob.model.types.choices import enum_of, literal, union
from rocketjob.model.types.nested import class_of, mapping, sequence, tuple_of
from rocketjob.model.types.scalars import NONE, PATTERN, SCALARS


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
    if annotation in (Any, object):
        return ANY
    if annotation is None or annotation is type(None):
        return NONE
    kind, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if kind is typing.Annotated:
        return codec_for(arguments[0])
    if kind in (Union, types.UnionType):
        return union(arguments, codec_for)
    if kind is Literal:
        return literal(arguments)
    if kind in (list, set, frozenset):
        return sequence(kind, arguments, codec_for)
    if kind is tuple:
        return tuple_of(arguments, codec_for)
    if kind in (dict, Mapping):
        return mapping(arguments, codec_for)
    if kind is re.Pattern:
        return PATTERN
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return enum_of(annotation)
    if has_attributes(annotation):
        return class_of(annotation, codec_for)
    raise TypeError(
        f"{annotation!r} is not a type that a field can have: use str, int, float, bool, bytes, "
        "Decimal, date, datetime, timedelta, UUID, ObjectId, an Enum, Literal, list, tuple, set, "
        "dict[str, ...], range, re.Pattern, an attrs class, a dataclass, `... | None` or Any"
    )
