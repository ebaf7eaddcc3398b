"""Types whose values hold others: lists, sets, tuples, dicts, attrs classes and dataclasses.

Here is how such values are checked, part by part, parsed, and put into BSON. `converter` has the
rest; it and cattrs are imported when the first of such values is stored or loaded.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from rocketjob.base.text import at
from rocketjob.model.types import exact_json
from rocketjob.model.types.anything import ANY, check_keys
from rocketjob.model.types.base import Codec, CodecFor, Function, Misfit, marked, wanted

Parts = Iterable[tuple[str, Codec, Any]]
"""Each part of a value: its place, its type, and what is there."""


class Holder:
    """One such type: see `Nested` for the attributes."""

    stored_kind: type = list  # what its values are in BSON, and in JSON
    attributes: Mapping[str, Codec] | None = None

    def __init__(self, name: str, kind: Any, items: Sequence[Codec] = ()) -> None:
        self.name, self.kind, self.items = name, kind, items

    def codec(self, mutable: bool = True, item: Codec | None = None) -> Codec:
        return Codec(
            self.name,
            self.check,
            lambda value: self._functions[0](value),
            lambda value: self._functions[1](value),
            self.parse,
            mutable=mutable,
            item=item,
            nested=self,
        )

    @cached_property
    def _functions(self) -> tuple[Function, Function, Function]:
        from rocketjob.model.types import converter  # for start-up time

        return converter.functions_for(self.codec())

    # --- checking ----------------------------------------------------------------------------

    def check(self, value: Any) -> str | None:
        return None if self.fits(value) else "; ".join(self.faults(value))

    def fits(self, value: Any) -> bool:
        """Return whether nothing is wrong with a value; every job that has one asks this."""
        raise NotImplementedError

    def faults(self, value: Any) -> list[str]:
        """Return all that is wrong with a value, each fault with its place."""
        message = self.misfit(value)
        if message is not None:
            return [message]
        return [
            at(place, codec.within(fault, part))
            for place, codec, part in self.parts(value)
            for fault in codec.faults(part)
        ]

    def misfit(self, value: Any) -> str | None:
        """Say what is wrong with a value itself, its parts aside."""
        return None if isinstance(value, self.kind) else wanted(self.name, value)

    def misfit_of_stored(self, value: Any) -> str | None:
        """Say why a value as it is stored, or in JSON, cannot be read as one of this type."""
        return None if isinstance(value, self.stored_kind) else wanted(self.name, value)

    def parts(self, value: Any) -> Parts:
        return ((f"[{index}]", self.items[0], part) for index, part in enumerate(value))

    # --- storing and parsing -----------------------------------------------------------------

    def cattrs_type(self) -> Any:
        """Return the type for cattrs, with the types in it marked."""
        item = marked(self.items[0])
        return tuple[item, ...] if self.kind is tuple else self.kind[item]  # type: ignore[valid-type]

    def parse(self, text: str) -> Any:
        """Return the value of a text: a JSON list, or items with commas between them."""
        if text.strip().startswith("["):
            return self.from_json(_json(text, "is not a JSON list"))
        return self.from_json([part.strip() for part in text.split(",") if part.strip()])

    def from_json(self, value: Any) -> Any:
        return self._functions[2](value)


class Items(Holder):
    """A list, set, frozenset or tuple of one type."""

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.kind) and not any(map(self.items[0].check, value))


class Places(Holder):
    """A tuple whose places are of several types."""

    def fits(self, value: Any) -> bool:
        return self.misfit(value) is None and not any(
            [codec.check(part) for codec, part in zip(self.items, value, strict=True)]
        )

    def misfit(self, value: Any) -> str | None:
        return super().misfit(value) or self._wrong_length(value)

    def misfit_of_stored(self, value: Any) -> str | None:
        return super().misfit_of_stored(value) or self._wrong_length(value)

    def _wrong_length(self, value: Any) -> str | None:
        return None if len(value) == len(self.items) else wanted(self.name, value)

    def parts(self, value: Any) -> Parts:
        return ((f"[{i}]", codec, value[i]) for i, codec in enumerate(self.items))

    def cattrs_type(self) -> Any:
        return tuple[tuple(map(marked, self.items))]  # type: ignore[misc]


class ByKey(Holder):
    """A dict with values of one type."""

    stored_kind = dict

    def fits(self, value: Any) -> bool:
        if not value:  # as the meta of nearly all jobs
            return isinstance(value, self.kind)
        return self.misfit(value) is None and not any(map(self.items[0].check, value.values()))

    def misfit(self, value: Any) -> str | None:
        return super().misfit(value) or check_keys(value)

    def parts(self, value: Any) -> Parts:
        return ((f"[{key!r}]", self.items[0], part) for key, part in value.items())

    def cattrs_type(self) -> Any:
        return dict[str, marked(self.items[0])]  # type: ignore[misc]

    def parse(self, text: str) -> Any:
        value = _json(text, "must be a JSON object")
        if not isinstance(value, dict):
            raise ValueError(f'must be a JSON object such as {{"a": 1}}, not {text!r}')
        return self.from_json(value)


class Attributes(Holder):
    """An attrs class or a dataclass."""

    stored_kind = dict

    def __init__(self, kind: type, codec_for: CodecFor) -> None:
        super().__init__(f"a {kind.__name__}", kind)
        self.codec_for = codec_for

    @cached_property
    def attributes(self) -> Mapping[str, Codec]:  # type: ignore[override]
        """The type of each attribute; only now, since a class may hold itself."""
        codecs = {}
        for name, annotation in _annotations_of(self.kind):
            try:
                codecs[name] = self.codec_for(annotation)
            except TypeError as error:
                raise TypeError(f"{self.kind.__qualname__}.{name}: {error}") from None
        return codecs

    @cached_property
    def _checks(self) -> list[tuple[str, Callable[[Any], str | None]]]:
        return [(name, codec.check) for name, codec in self.attributes.items()]

    def fits(self, value: Any) -> bool:
        if not isinstance(value, self.kind):
            return False
        for name, check in self._checks:  # noqa: SIM110 - a generator takes twice as long
            if check(getattr(value, name)) is not None:
                return False
        return True

    def faults(self, value: Any) -> list[str]:
        if isinstance(value, dict):  # it stayed as it was stored, since it does not fit
            try:
                self._functions[1](value)
            except Misfit as error:
                return error.faults
        return super().faults(value)

    def parts(self, value: Any) -> Parts:
        return ((f".{n}", codec, getattr(value, n)) for n, codec in self.attributes.items())

    def parse(self, text: str) -> Any:
        try:
            return self.from_json(exact_json.loads(text))
        except ValueError as error:
            raise ValueError(f"must be the JSON of {self.name}: {error}") from None


def _json(text: str, problem: str) -> Any:
    try:
        return exact_json.loads(text)
    except ValueError as error:
        raise ValueError(f"{problem}: {error}") from None


def _annotations_of(kind: Any) -> list[tuple[str, Any]]:
    if attrs.has(kind):
        return [(a.name, a.type or Any) for a in attrs.fields(attrs.resolve_types(kind))]
    import dataclasses  # for start-up time

    hints = typing.get_type_hints(kind)
    return [(part.name, hints[part.name]) for part in dataclasses.fields(kind)]


# --- by annotation ---------------------------------------------------------------------------


def sequence(kind: type, arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    item = codec_for(arguments[0] if arguments else Any)
    of = "" if item is ANY else f" of {item.name}"
    nested = Items(f"a {kind.__name__}{of}", kind, [item])
    return nested.codec(mutable=kind is not frozenset, item=item)


def tuple_of(arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    arguments = arguments or (Any, Ellipsis)
    items = [codec_for(argument) for argument in arguments if argument is not Ellipsis]
    mutable = any(codec.mutable for codec in items)  # the tuple itself stays as it is
    if arguments[-1] is Ellipsis:
        return Items("a tuple", tuple, items).codec(mutable, items[0])
    return Places(f"a tuple of {len(items)}", tuple, items).codec(mutable, ANY)


def mapping(arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    if arguments and arguments[0] not in (str, Any):
        raise TypeError("the keys of a dict field must be str: dict[str, ...]")
    return ByKey("a dict", dict, [codec_for(arguments[1] if arguments else Any)]).codec()


def class_of(kind: type, codec_for: CodecFor) -> Codec:
    return Attributes(kind, codec_for).codec()
