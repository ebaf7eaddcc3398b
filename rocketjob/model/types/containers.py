"""The codecs of what holds other values: lists, sets, tuples, dicts and attrs classes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from rocketjob.model.types import exact
from rocketjob.model.types.anything import ANY, check_keys
from rocketjob.model.types.base import Codec, CodecFor, first, inner, wanted


def sequence(kind: type[Any], item: Codec) -> Codec:
    encode_item = inner(item)
    name = f"{kind.__name__} of {item.name}" if item is not ANY else kind.__name__

    def check(value: Any) -> str | None:
        if not isinstance(value, kind):
            return wanted(f"a {name}", value)
        return first(f"[{i}] {said}" for i, v in enumerate(value) if (said := item.check(v)))

    def encode(value: Any) -> Any:
        found = [encode_item(v) for v in value] if encode_item else list(value)
        return sorted(found, key=repr) if kind is not list else found

    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return kind(item.decode(v) for v in value) if item.decode else kind(value)

    def parse(text: str) -> Any:
        return kind(item.from_text(part) for part in _split(text))

    mutable = kind is not frozenset
    return Codec(f"a {name}", check, encode, decode, parse, mutable=mutable, item=item)


def _split(text: str) -> list[Any]:
    if text.strip().startswith("["):
        try:
            return list(exact.loads(text))
        except ValueError as error:
            raise ValueError(f"is not a JSON list: {error}") from None
    return [part.strip() for part in text.split(",") if part.strip()]


def tuple_of(arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    if not arguments or arguments[-1] is Ellipsis:
        base = sequence(list, codec_for(arguments[0]) if arguments else ANY)
        items = None
    else:
        items = [codec_for(argument) for argument in arguments]
        base = sequence(list, ANY)
    name = "a tuple" if items is None else f"a tuple of {len(items)}"

    def check(value: Any) -> str | None:
        if not isinstance(value, tuple) or (items is not None and len(value) != len(items)):
            return wanted(name, value)
        if items is None:
            return base.check(list(value))
        pairs = enumerate(zip(items, value, strict=True))
        return first(f"[{i}] {said}" for i, (c, v) in pairs if (said := c.check(v)))

    def each(functions: Iterable[Callable[[Any], Any] | None], value: Any) -> Any:
        pairs = zip(functions, value, strict=False)
        return [function(item) if function else item for function, item in pairs]

    def encode(value: Any) -> Any:
        if items is None:
            return base.encode(list(value))  # type: ignore[misc]
        return each(map(inner, items), value)

    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if items is None:
            return tuple(base.decode(value))  # type: ignore[misc]
        return tuple(each((codec.decode for codec in items), value))

    def parse(text: str) -> Any:
        parts = _split(text)
        if items is None:
            return tuple(base.parse(text))  # type: ignore[misc]
        return tuple(c.from_text(part) for c, part in zip(items, parts, strict=False))

    # The tuple itself stays as it is, what is in it may not.
    held = items if items is not None else [codec_for(arguments[0]) if arguments else ANY]
    mutable = any(codec.mutable for codec in held)
    return Codec(name, check, encode, decode, parse, mutable=mutable, item=base.item)


def mapping(arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    if arguments and arguments[0] not in (str, Any):
        raise TypeError("the keys of a dict field must be str: dict[str, ...]")
    item = codec_for(arguments[1]) if arguments else ANY
    encode_item = inner(item)

    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return wanted("a dict", value)
        return check_keys(value) or first(
            f"[{key!r}] {said}" for key, v in value.items() if (said := item.check(v))
        )

    def encode(value: Any) -> Any:
        return {key: encode_item(v) for key, v in value.items()} if encode_item else dict(value)

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item.decode(v) for key, v in value.items()} if item.decode else dict(value)

    def parse(text: str) -> Any:
        try:
            found = exact.loads(text)
        except ValueError as error:
            raise ValueError(f"must be a JSON object: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f'must be a JSON object such as {{"a": 1}}, not {text!r}')
        return {key: item.from_text(value) for key, value in found.items()}

    return Codec("a dict", check, encode, decode, parse, mutable=True)


def nested(kind: type, codec_for: CodecFor) -> Codec:
    @functools.cache
    def parts() -> list[tuple[attrs.Attribute[Any], Codec]]:
        resolved = attrs.fields(attrs.resolve_types(kind))
        return [(part, codec_for(part.type or Any)) for part in resolved]

    def check(value: Any) -> str | None:
        if not isinstance(value, kind):
            return wanted(f"a {kind.__name__}", value)
        for part, codec in parts():
            if said := codec.check(getattr(value, part.name)):
                return f".{part.name} {said}"
        return None

    def encode(value: Any) -> Any:
        found = {}
        for part, codec in parts():
            held, function = getattr(value, part.name), inner(codec)
            found[part.name] = held if held is None or function is None else function(held)
        return found

    def decode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        found: dict[str, Any] = {}
        for part, codec in parts():
            if part.name in value and part.init:
                held = value[part.name]
                plain = held is None or codec.decode is None
                found[str(part.alias)] = held if plain else codec.decode(held)  # type: ignore[misc]
        return kind(**found)

    def parse(text: str) -> Any:
        try:
            found = exact.loads(text)
            given = [(p, c) for p, c in parts() if p.name in found]
            return kind(**{str(p.alias): c.from_text(found[p.name]) for p, c in given})
        except (TypeError, ValueError) as error:
            raise ValueError(f"must be the JSON of a {kind.__name__}: {error}") from None

    return Codec(f"a {kind.__name__}", check, encode, decode, parse, mutable=True)
