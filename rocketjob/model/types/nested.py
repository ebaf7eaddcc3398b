"""Types whose values hold others: lists, sets, tuples, dicts, attrs classes and dataclasses.

What checks, stores and loads their values is made by cattrs, which is imported when the first value
of such a type is met.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocketjob.model.types import exact
from rocketjob.model.types.anything import ANY
from rocketjob.model.types.base import Codec, CodecFor, Functions, Nested


def sequence(annotation: Any, kind: type, item: Any, codec_for: CodecFor) -> Codec:
    codec = codec_for(item)
    name = kind.__name__ if codec is ANY else f"{kind.__name__} of {codec.name}"
    made = _functions(codec_for)

    def parse(text: str) -> Any:
        return made(annotation).from_json(_split(text))

    mutable = kind is not frozenset
    return Nested(
        annotation,
        kind,
        [item],
        made,
        name=f"a {name}",
        parse=parse,
        mutable=mutable,
        item=codec,
    )


def tuple_of(annotation: Any, arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    if not arguments or arguments[-1] is Ellipsis:
        item = arguments[0] if arguments else Any
        held = [codec_for(item)]
        known = {"name": "a tuple", "item": held[0]}
        items = [item, Ellipsis]
    else:
        items = list(arguments)
        held = [codec_for(item) for item in items]
        known = {"name": f"a tuple of {len(items)}", "item": ANY}
    made = _functions(codec_for)

    def parse(text: str) -> Any:
        return made(annotation).from_json(_split(text))

    # The tuple itself stays as it is, what is in it may not.
    mutable = any(codec.mutable for codec in held)
    return Nested(annotation, tuple, items, made, parse=parse, mutable=mutable, **known)


def mapping(annotation: Any, arguments: tuple[Any, ...], codec_for: CodecFor) -> Codec:
    if arguments and arguments[0] not in (str, Any):
        raise TypeError("the keys of a dict field must be str: dict[str, ...]")
    item = arguments[1] if arguments else Any
    codec_for(item)
    made = _functions(codec_for)

    def parse(text: str) -> Any:
        try:
            found = exact.loads(text)
        except ValueError as error:
            raise ValueError(f"must be a JSON object: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f'must be a JSON object such as {{"a": 1}}, not {text!r}')
        return made(annotation).from_json(found)

    return Nested(annotation, dict, [item], made, name="a dict", parse=parse)


def class_of(kind: type, codec_for: CodecFor) -> Codec:
    made = _functions(codec_for)

    def parse(text: str) -> Any:
        try:
            return made(kind).from_json(exact.loads(text))
        except ValueError as error:
            raise ValueError(f"must be the JSON of a {kind.__name__}: {error}") from None

    return Nested(kind, kind, [], made, name=f"a {kind.__name__}", parse=parse)


def optional(codec: Nested, annotation: Any, parse: Callable[[str], Any]) -> Codec:
    """Return the codec of a nested type that may be None."""
    known = {name: getattr(codec, name) for name in ("name", "mutable", "item")}
    functions = codec.__dict__["_make"]
    return Nested(
        annotation, codec.kind, codec.items, functions, optional=True, parse=parse, **known
    )


def _functions(codec_for: CodecFor) -> Callable[[Any], Functions]:
    def make(annotation: Any) -> Functions:
        from rocketjob.model.types.converter import functions_for  # for start-up time

        return functions_for(annotation, codec_for)

    return make


def _split(text: str) -> list[Any]:
    if text.strip().startswith("["):
        try:
            return list(exact.loads(text))
        except ValueError as error:
            raise ValueError(f"is not a JSON list: {error}") from None
    return [part.strip() for part in text.split(",") if part.strip()]
