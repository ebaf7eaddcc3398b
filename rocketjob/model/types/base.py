"""What every codec is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs


@attrs.frozen(eq=False)
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
