"""The codecs of what is one of several: an Enum, a Literal, a union, or None."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, get_args

import attrs

from rocketjob.model.types.anything import decode_any, encode_any
from rocketjob.model.types.base import Codec, CodecFor, Nested, instance_of, scalar, shown, wanted
from rocketjob.model.types.nested import optional as optional_of

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

    return scalar(
        f"one of {kind.__name__} ({names})",
        instance_of(kind),
        lambda value: encode_any(value.value) if isinstance(value, kind) else value,
        decode,
        parse,
    )


def literal(values: tuple[Any, ...]) -> Codec:
    names = ", ".join(str(value) for value in values)

    def parse(text: str) -> Any:
        for value in values:
            if text == str(value):
                return value
        raise ValueError(f"must be one of {names}, not {text!r}")

    def check(value: Any) -> str | None:
        return None if value in values else f"must be one of {names}, not {shown(value)}"

    return Codec(f"one of {names}", check, parse=parse, optional=None in values)


def union(annotation: Any, arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    kinds = [argument for argument in arguments if argument is not type(None)]
    optional = len(kinds) < len(arguments)
    codecs = [codec_for(kind) for kind in kinds]
    if len(codecs) == 1:
        return _allow_none(codecs[0], annotation)
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
        found = list(_parsed(codecs, text))
        if not found:
            raise ValueError(f"must be {name}, not {text!r}")
        return next((value for value in found if _reads_as(value, text)), found[0])

    converts = any(codec.convert for codec in codecs)
    mutable = any(codec.mutable for codec in codecs)
    return Codec(
        name,
        check,
        None if untagged else encode_any,
        None if untagged else decode_any,
        parse,
        optional,
        mutable,
        convert if converts else None,
    )


def _parsed(codecs: list[Codec], text: str) -> Iterator[Any]:
    """Yield what a text can mean; as a text, where that is allowed, before a guess."""
    for codec in codecs:
        with contextlib.suppress(ValueError):
            yield codec.from_text(text)


def _reads_as(value: Any, text: str) -> bool:
    """Tell whether a value is written like the text, so that no zero or fraction is lost."""
    if isinstance(value, bool):
        return text.strip().lower() in ("true", "false")
    if isinstance(value, int | float | Decimal):
        return str(value) == text
    return value == text or _NUMBER.fullmatch(text) is None or str(value) == text


def _tells_itself(kind: Any) -> bool:
    """Tell whether a stored value says of which type it is."""
    if isinstance(kind, type) and (
        issubclass(kind, enum.Enum) or attrs.has(kind) or dataclasses.is_dataclass(kind)
    ):
        return False
    return all(_tells_itself(inner) for inner in get_args(kind))


def _allow_none(codec: Codec, annotation: Any) -> Codec:
    def wrap(function: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
        if function is None:
            return None
        inner = function
        return lambda value: None if value is None else inner(value)

    absent = ("",) if codec.name == "str" else ("", "none", "null")

    def parse(text: str) -> Any:
        return None if text.strip().lower() in absent else codec.from_text(text)

    if isinstance(codec, Nested):
        return optional_of(codec, annotation, parse)
    return attrs.evolve(
        codec,
        optional=True,
        check=lambda value: None if value is None else codec.check(value),
        encode=wrap(codec.encode),
        decode=wrap(codec.decode),
        parse=parse,
    )
