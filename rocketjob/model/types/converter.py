"""The cattrs converters of values that hold others: one for what is stored, one for JSON.

In a type that cattrs gets, each part is marked with its codec. The hooks here see that a value is
of the type that it is marked with; cattrs goes through what it holds, and collects what is wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Set
from typing import Any

import cattrs
from cattrs.errors import AttributeValidationNote, BaseValidationError, IterableValidationNote
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.bson import make_converter

from rocketjob.base.text import at
from rocketjob.model.types.anything import ANY, decode_any
from rocketjob.model.types.base import Codec, Function, Misfit, Nested, mark_of, marked

Hook = Callable[[Any, Any], Any]
AS_LISTS: dict[Any, Function] = {
    Set: lambda parts: sorted(parts, key=repr),  # always the same for an equal set
    tuple: list,
}


class Wrong(ValueError):
    """One value is not of its type; inside another one a shorter message will do."""

    def __init__(self, codec: Codec, value: Any, message: str) -> None:
        super().__init__(message)
        self.within = codec.within(message, value)


def functions_for(codec: Codec) -> tuple[Function, Function, Function]:
    """Return what puts values of a type into BSON, and what reads them from BSON and from JSON.

    What reads them raises `Misfit`.
    """
    stored, json = _converters()
    kind = marked(codec)
    return stored.get_unstructure_hook(kind), _reader(stored, kind), _reader(json, kind)


@functools.cache
def _converters() -> tuple[cattrs.Converter, cattrs.Converter]:
    stored, json = make_converter(unstruct_collection_overrides=AS_LISTS), make_converter()
    stored.register_structure_hook_factory(mark_of, _stored_hook)
    stored.register_unstructure_hook_factory(mark_of, _encode_hook)
    json.register_structure_hook_factory(mark_of, _json_hook)
    return stored, json


def _reader(converter: cattrs.Converter, kind: Any) -> Function:
    hook = _late(converter.get_structure_hook, kind)

    def read(value: Any) -> Any:
        try:
            return hook(value, kind)
        except Exception as error:
            raise Misfit(list(_faults(error, ""))) from None

    return read


def _late(lookup: Callable[[Any], Any], kind: Any) -> Any:
    """Return a hook that is looked up when it is first used, since a class may hold itself."""
    hook = functools.cache(lambda: lookup(kind))
    return lambda *arguments: hook()(*arguments)


def _attribute_hooks(nested: Nested, lookup: Callable[[Any], Any]) -> dict[str, Any]:
    hooks = {}
    for name, codec in (nested.attributes or {}).items():
        kind = marked(codec)
        hooks[name] = _late(lookup, kind) if codec.nested else lookup(kind)
    return hooks


# --- reading ---------------------------------------------------------------------------------


def _stored_hook(kind: Any, converter: cattrs.Converter) -> Hook:
    codec: Codec = mark_of(kind)
    nested = codec.nested
    if nested is None:
        return _loading(codec)
    read, is_optional = _quick(nested, converter), codec.optional

    def hook(value: Any, _: Any) -> Any:
        if value is None and is_optional:
            return None
        if message := nested.misfit_of_stored(value):
            raise Wrong(codec, value, message)
        return read(value)

    return hook


def _json_hook(kind: Any, converter: cattrs.Converter) -> Hook:
    codec: Codec = mark_of(kind)
    nested = codec.nested
    read = _parts(nested, converter) if nested else identity

    def hook(value: Any, _: Any) -> Any:
        if isinstance(value, str):
            if not codec.check(value):
                return value  # a string in JSON is one wherever it may be: "1" is not 1
            try:
                return codec.from_text(value)
            except ValueError as error:
                raise Wrong(codec, value, str(error)) from None
        if nested is None or (value is None and codec.optional):
            return value
        if message := nested.misfit_of_stored(value):
            raise Wrong(codec, value, message)
        return read(value)

    return hook


def _loading(codec: Codec) -> Hook:
    """Return what loads a value that holds no others, and sees that it fits."""
    decode, check, loads_as = codec.decode, codec.check, codec.loads_as

    def take(value: Any, _: Any) -> Any:
        if value.__class__ not in loads_as and (message := check(value)):
            raise Wrong(codec, value, message)
        return value

    def load(value: Any, _: Any) -> Any:
        try:
            loaded = decode(value)  # type: ignore[misc]
        except Exception as error:
            raise Wrong(codec, value, check(value) or str(error)) from None
        return loaded if loaded.__class__ in loads_as else take(loaded, None)

    if codec is ANY:
        return lambda value, _: decode_any(value)
    return load if decode else take


def _quick(nested: Nested, converter: cattrs.Converter) -> Function:
    """Return what reads the parts of a value: all at once, where their types say that they fit."""
    read, kind = _parts(nested, converter), nested.kind
    if len(nested.items) != 1 or nested.items[0].decode:
        return read
    parts: Function = dict.values if kind is dict else iter
    loads_as = nested.items[0].loads_as

    def take(value: Any) -> Any:
        return kind(value) if loads_as.issuperset(map(type, parts(value))) else read(value)

    return take if loads_as else read


def _parts(nested: Nested, converter: cattrs.Converter) -> Function:
    """Return what reads the parts of a value and puts them together."""
    if nested.attributes is None:
        kind = nested.cattrs_type()
        hook = converter.get_structure_hook(kind)
        return lambda value: hook(value, kind)
    hooks = _attribute_hooks(nested, converter.get_structure_hook)
    overrides: Any = {name: override(struct_hook=hook) for name, hook in hooks.items()}
    make = make_dict_structure_fn(nested.kind, converter, **overrides)
    return lambda value: make(value, nested.kind)


# --- storing ---------------------------------------------------------------------------------


def _encode_hook(kind: Any, converter: cattrs.Converter) -> Function:
    codec: Codec = mark_of(kind)
    if codec.nested is None:
        return codec.encode_item or identity
    encode = _encoding(codec.nested, converter)
    return (lambda value: None if value is None else encode(value)) if codec.optional else encode


def _encoding(nested: Nested, converter: cattrs.Converter) -> Function:
    if nested.attributes is None:
        return converter.get_unstructure_hook(nested.cattrs_type())
    hooks = _attribute_hooks(nested, converter.get_unstructure_hook)
    overrides: Any = {name: override(unstruct_hook=hook) for name, hook in hooks.items()}
    return make_dict_unstructure_fn(
        nested.kind, converter, _cattrs_include_init_false=True, **overrides
    )


# --- what went wrong -------------------------------------------------------------------------


def _faults(error: BaseException, place: str) -> Iterator[str]:
    """Yield each fault of a tree of errors, with its place."""
    if isinstance(error, BaseValidationError):
        for part in error.exceptions:
            yield from _faults(part, place + _place_of(part))
    elif isinstance(error, KeyError) and _place_of(error):
        yield f"{place} is missing"
    elif isinstance(error, Wrong):
        yield at(place, error.within) if place else str(error)
    else:
        yield at(place, f"cannot be made: {error}").strip()


def _place_of(error: BaseException) -> str:
    for note in reversed(getattr(error, "__notes__", ())):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index!r}]"
    return ""
