"""What is known of a type that a field can have, and the words for a value that is not of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Protocol

import attrs

Function = Callable[[Any], Any]


def _types(types: Iterable[type]) -> frozenset[type]:
    return frozenset(types)


@attrs.frozen(eq=False)
class Codec:
    """One type of field.

    Attributes:
        name: the type, in words for a message.
        check: returns what is wrong with a value, or None.
        encode: to BSON. None: the value is stored as it is.
        decode: from BSON. None: it comes back as it was stored.
        parse: from text; raises ValueError.
        convert: applied when a value is assigned.
        optional: whether None is allowed.
        mutable: whether a value can change without being assigned.
        loads_as: types of which every value that was loaded fits, so that it is not checked.
        item: the type of what a list, set or tuple of one type holds.
        nested: what values hold, if they are made of others.
        choices: all values that there are, if they are few; None is not one of them.
    """

    name: str
    check: Callable[[Any], str | None]
    encode: Function | None = None
    decode: Function | None = None
    parse: Callable[[str], Any] | None = None
    convert: Function | None = None
    optional: bool = False
    mutable: bool = False
    loads_as: frozenset[type] = attrs.field(default=(), converter=_types)
    item: Codec | None = None
    nested: Nested | None = None
    choices: tuple[Any, ...] | None = None

    def from_text(self, text: Any) -> Any:
        """Parse text from a form or a command line; other values are taken as they are.

        Raises:
            ValueError: it has no value of this type.
        """
        if not isinstance(text, str) or self.parse is None:
            return text
        try:
            return self.parse(text)
        except RecursionError:
            raise ValueError("is nested too deeply") from None

    def faults(self, value: Any) -> list[str]:
        """Return all that is wrong with a value; a fault in a part of it begins with its place."""
        message = self.check(value)
        if message is None:
            return []
        return self.nested.faults(value) if self.nested else [message]

    @property
    def encode_item(self) -> Function | None:
        """How an item of a container is encoded: what is converted on assignment is so here."""
        return self.encode or self.convert

    def within(self, message: str, value: Any) -> str:
        """Return a message for a value inside another one: after its place it can be short."""
        if message != wanted(self.name, value):
            return message
        return f"must be {_with_article(self.name)}, not {_text(value)}"


class Nested(Protocol):
    """A type whose values hold others: see `rocketjob.model.types.nested`.

    Attributes:
        kind: what its values are instances of.
        items: the type of what a list, set, tuple or dict holds: one, or one for each place.
        attributes: the types of the attributes of a class, by name; None if it is not a class.
    """

    kind: Any
    items: Sequence[Codec]

    @property
    def attributes(self) -> Mapping[str, Codec] | None: ...

    def faults(self, value: Any) -> list[str]: ...

    def misfit_of_stored(self, value: Any) -> str | None: ...

    def cattrs_type(self) -> Any: ...


def marked(codec: Codec) -> Any:
    """Return a type for cattrs that stands for a codec, so that it has no ideas of its own."""
    return Annotated[object, codec]


def mark_of(annotation: Any) -> Any:
    """Return the codec that a type is marked with, or None."""
    mark = getattr(annotation, "__metadata__", (None,))[0]
    return mark if isinstance(mark, Codec) else None


CodecFor = Callable[[Any], Codec]
"""`codec_for`, as those get it who make a codec of others."""


class Misfit(ValueError):
    """A value is not of its type; `faults` are all places where it is not, each with its own."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def wanted(name: str, value: Any) -> str:
    """Say that a value is not of the type that is wanted."""
    return f"must be {name}, not {shown(value)}"


def shown(value: Any) -> str:
    """Return a value's type and text, cut to what fits a message."""
    return f"{type(value).__name__} {_text(value)}"


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _with_article(name: str) -> str:
    if name.startswith(("a ", "an ", "one of ", "any ", "bytes", "None")):
        return name
    return f"an {name}" if name[0] in "aeio" else f"a {name}"


def instance_of(name: str, *kinds: type, **functions: Any) -> Codec:
    """Return the codec of a type of which every instance fits."""

    def check(value: Any) -> str | None:
        return None if isinstance(value, kinds) else wanted(name, value)

    return Codec(name=name, check=check, loads_as=kinds, **functions)


def has_attributes(kind: Any) -> bool:
    """Return whether a type is an attrs class or a dataclass."""
    return isinstance(kind, type) and (attrs.has(kind) or hasattr(kind, "__dataclass_fields__"))


TOO_DEEP = "is nested too deeply to be stored, or contains itself"


def first(messages: Iterable[str]) -> str | None:
    """Return the first message of those that checks of parts have given, if there is any."""
    return next(iter(messages), None)
