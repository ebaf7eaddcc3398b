"""The codecs of what is one of several: an Enum, a Literal, a union, or None."""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, get_args

import attrs

from rocketjob.model.types.anything import decode_any, encode_any
from rocketjob.model.types.base import Codec, CodecFor, has_attributes, instance_of, shown, wanted

_NUMBER = re.compile(r"\s*[-+]?[0-9][0-9_.]*(e[-+]?[0-9]+)?\s*", re.IGNORECASE)


def enum_of(kind: type[enum.Enum]) -> Codec:
    names = ", ".join(str(member.value) for member in kind)
    members = {member.value: member for member in kind if isinstance(member.value, str)}

    def decode(value: Any) -> Any:
        if value.__class__ is str and value in members:
            return members[value]
        try:
            return kind(decode_any(value))
        except ValueError:
            return value  # stored before the member was renamed: validation will say so

    def parse(text: str) -> Any:
        for member in kind:
            if text.lower() in (member.name.lower(), str(member.value).lower()):
                return member
        raise ValueError(f"must be one of {names}, not {text!r}")

    return instance_of(
        f"one of {kind.__name__} ({names})",
        kind,
        encode=lambda value: encode_any(value.value) if isinstance(value, kind) else value,
        decode=decode,
        parse=parse,
        choices=tuple(kind),
    )


def literal(values: tuple[Any, ...]) -> Codec:
    name = f"one of {', '.join(str(value) for value in values)}"

    def parse(text: str) -> Any:
        for value in values:
            if text == str(value):
                return value
        raise ValueError(f"must be {name}, not {text!r}")

    def check(value: Any) -> str | None:
        return None if value in values else wanted(name, value)

    choices = tuple(value for value in values if value is not None)
    return Codec(name, check, parse=parse, optional=None in values, choices=choices)


def union(arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    kinds = [argument for argument in arguments if argument is not type(None)]
    optional = len(kinds) < len(arguments)
    codecs = [codec_for(kind) for kind in kinds]
    if len(codecs) == 1:
        return _allow_none(codecs[0])
    for kind in kinds:
        if not _tells_itself(kind):
            raise TypeError(
                f"a union cannot hold {shown(kind)}: an Enum or a class is not told from "
                "the other values once it is stored. It can be alone, or with None"
            )
    untagged = all(codec.encode is None and codec.decode is None for codec in codecs)
    name = " or ".join(codec.name for codec in codecs)

    def check(value: Any) -> str | None:
        if optional and value is None:
            return None
        return None if any(c.check(value) is None for c in codecs) else wanted(name, value)

    def convert(value: Any) -> Any:
        fitting = [c for c in codecs if c.check(value) is None] or codecs
        return next((c.convert(value) for c in fitting if c.convert), value)

    def parse(text: str) -> Any:
        values = list(_parsed(codecs, text))
        if not values:
            raise ValueError(f"must be {name}, not {text!r}")
        return next((value for value in values if _reads_as(value, text)), values[0])

    return Codec(
        name,
        check,
        None if untagged else encode_any,
        None if untagged else decode_any,
        parse,
        convert=convert if any(codec.convert for codec in codecs) else None,
        optional=optional,
        mutable=any(codec.mutable for codec in codecs),
        loads_as=_loads_as(codecs, optional),
    )


def _loads_as(codecs: list[Codec], optional: bool) -> frozenset[type]:
    if not all(codec.loads_as and codec.decode is None for codec in codecs):
        return frozenset()
    none = frozenset((type(None),) if optional else ())
    return none.union(*(codec.loads_as for codec in codecs))


def _parsed(codecs: list[Codec], text: str) -> Iterator[Any]:
    """Yield what a text can mean; as a text, where that is allowed, before a guess."""
    for codec in codecs:
        with contextlib.suppress(ValueError):
            yield codec.from_text(text)


def _reads_as(value: Any, text: str) -> bool:
    """Return whether a value is written like the text, so that no zero or fraction is lost."""
    if isinstance(value, bool):
        return text.strip().lower() in ("true", "false")
    if isinstance(value, int | float | Decimal):
        return str(value) == text
    return value == text or _NUMBER.fullmatch(text) is None or str(value) == text


def _tells_itself(kind: Any) -> bool:
    """Return whether a stored value says of which type it is."""
    if has_attributes(kind) or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        return False
    return all(_tells_itself(inner) for inner in get_args(kind))


def _allow_none(codec: Codec) -> Codec:
    absent = ("",) if codec.name == "str" else ("", "none", "null")

    def parse(text: str) -> Any:
        return None if text.strip().lower() in absent else codec.from_text(text)

    return attrs.evolve(
        codec,
        optional=True,
        check=_unless_none(codec.check),
        encode=codec.encode and _unless_none(codec.encode),
        decode=codec.decode and _unless_none(codec.decode),
        parse=parse,
        loads_as=codec.loads_as and codec.loads_as | {type(None)},
    )


def _unless_none(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else function(value)
