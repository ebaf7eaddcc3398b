"""What every codec is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import attrs


@attrs.frozen(eq=False, slots=False)
class Codec:
    """One type of field.

    Attributes:
        name: the type, in words for a message.
        check: returns what is wrong with a value, or None.
        encode: to BSON. None: the value is stored as it is.
        decode: from BSON. None: it comes back as it was stored.
        parse: from text; raises ValueError.
        optional: whether None is allowed.
        mutable: whether a value can change without being assigned.
        convert: applied when a value is assigned.
        item: the type of what a list, set or tuple of one type holds.
    """

    name: str
    check: Callable[[Any], str | None]
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    parse: Callable[[str], Any] | None = None
    optional: bool = False
    mutable: bool = False
    convert: Callable[[Any], Any] | None = None
    item: Codec | None = None

    def from_text(self, text: Any) -> Any:
        """Parse a text of a form or a command line; other values are taken as they are."""
        if not isinstance(text, str) or self.parse is None:
            return text
        return self.parse(text)

    def faults(self, value: Any) -> list[str]:
        """Return all that is wrong with a value; a fault in a part of it begins with its place."""
        said = self.check(value)
        return [said] if said else []


class Nested(Codec):
    """A type whose values hold others; what cattrs makes for it is made when it is first asked.

    Attributes:
        annotation: the type as it was declared.
        kind: `list`, `set`, `frozenset`, `tuple`, `dict` or the class.
        items: the types of what it holds: of each place for a tuple of several types, else one.
    """

    annotation: Any
    kind: type
    items: Sequence[Any]

    def __init__(
        self,
        annotation: Any,
        kind: type,
        items: Sequence[Any],
        functions: Callable[[Any], Functions],
        **known: Any,
    ) -> None:
        given = {"optional": False, "convert": None, "item": None, "mutable": True, **known}
        self.__dict__.update(given, annotation=annotation, kind=kind, items=items)
        self.__dict__["_make"] = functions

    @cached_property
    def functions(self) -> Functions:
        found: Functions = self.__dict__["_make"](self.annotation)
        return found

    @cached_property
    def encode(self) -> Callable[[Any], Any]:
        return self.functions.encode

    @cached_property
    def decode(self) -> Callable[[Any], Any]:
        return self.functions.decode

    def check(self, value: Any) -> str | None:
        return "; ".join(self.faults(value)) or None

    def faults(self, value: Any) -> list[str]:
        return self.functions.faults(value)


@attrs.frozen
class Functions:
    """What the converter makes for one type.

    Attributes:
        encode: to BSON.
        decode: from BSON; raises `Misfit`.
        from_json: from what was parsed as JSON; raises `Misfit`.
        faults: returns all that is wrong with a value.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    from_json: Callable[[Any], Any]
    faults: Callable[[Any], list[str]]


class Misfit(ValueError):
    """A value is not of its type; `faults` are all places where it is not, each with its own."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


CodecFor = Callable[[Any], Codec]
"""`codec_for`, as those get it who make a codec of others."""


def shown(value: Any) -> str:
    """Return a value's type and text, cut to what fits a message."""
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{type(value).__name__} {text}"


def wanted(name: str, value: Any) -> str:
    """Say that a value is not of the type that is wanted."""
    return f"must be {name}, not {shown(value)}"


def scalar(
    name: str,
    accepts: Callable[[Any], bool],
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
    parse: Callable[[str], Any] | None = None,
    convert: Callable[[Any], Any] | None = None,
) -> Codec:
    """Return the codec of a type that a test of the value alone tells."""

    def check(value: Any) -> str | None:
        return None if accepts(value) else wanted(name, value)

    return Codec(name, check, encode, decode, parse, name == "None", False, convert)


def instance_of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def first(messages: Iterable[str]) -> str | None:
    """Return the first message of those that checks of parts have given, if there is any."""
    return next(iter(messages), None)


def inner(codec: Codec) -> Callable[[Any], Any] | None:
    """Return how an item of a container is encoded: what is converted on assignment is so here."""
    return codec.encode or codec.convert
