"""The cattrs converter of nested values; what is in them is converted by the codecs of its type.

Its structure hooks read one of three things: what is stored, what was parsed as JSON, and a value
itself, which they check. Each way there is one converter that is quick, and one that is asked for
all that is wrong when the quick one has failed.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from types import NoneType
from typing import Any

import attrs
import cattrs
import pendulum
from bson.int64 import Int64
from cattrs.cols import list_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.fns import identity
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    make_mapping_structure_fn,
    override,
)
from cattrs.preconf.bson import make_converter

from rocketjob.base.text import at
from rocketjob.model.types.anything import ANY, check_keys, decode_any
from rocketjob.model.types.base import (
    Codec,
    CodecFor,
    Functions,
    Misfit,
    Nested,
    inner,
    wanted,
)

Hook = Callable[[Any, Any], Any]
_AS_STORED: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int, Int64),
    float: (float, int, Int64),
    bool: (bool,),
}
"""Types that BSON has: of these a stored value is taken as it is."""


CONTAINERS = (dict, list, set, frozenset, tuple)
_LEAF = object()


class Wrong(ValueError):
    """One value is not of its type."""


@functools.cache
def functions_for(annotation: Any, codec_for: CodecFor) -> Functions:
    """Return what checks, stores, loads and parses values of a nested type."""
    stored, json, value = _ways(codec_for)
    return Functions(
        encode=stored.quick.get_unstructure_hook(annotation),
        decode=stored.reader(annotation),
        from_json=json.reader(annotation),
        faults=value.checker(annotation),
    )


@functools.cache
def _ways(codec_for: CodecFor) -> tuple[Way, Way, Way]:
    stored = Way(codec_for, _load_leaf, _fits_stored)
    json = Way(codec_for, _parse_leaf, _fits_stored)
    return stored, json, Way(codec_for, _check_leaf, _fits_value, stored)


class Way:
    """One way to read values: a quick converter, and one that names each place that is wrong."""

    def __init__(
        self,
        codec_for: CodecFor,
        leaf: Callable[[Any, Codec], Hook],
        fits: Callable[[Nested], Callable[[Any], str | None]],
        stored: Way | None = None,
    ) -> None:
        self.codec_for, self.leaf, self.fits, self.stored = codec_for, leaf, fits, stored
        self.quick, self.precise = self._converter(False), self._converter(True)

    def reader(self, annotation: Any) -> Callable[[Any], Any]:
        hook = self.quick.get_structure_hook(annotation)

        def read(value: Any) -> Any:
            try:
                return hook(value, annotation)
            except Exception as error:
                raise Misfit(self._explain(value, annotation) or [str(error)]) from None

        return read

    def checker(self, annotation: Any) -> Callable[[Any], list[str]]:
        hook = self.quick.get_structure_hook(annotation)

        def faults(value: Any) -> list[str]:
            try:
                hook(value, annotation)
            except Exception as error:
                return self._explain(value, annotation) or [str(error)]
            return []

        return faults

    def _explain(self, value: Any, annotation: Any) -> list[str]:
        try:
            self.precise.structure(value, annotation)
        except Exception as error:
            return list(_faults(error, ""))
        return []

    def _converter(self, precise: bool) -> cattrs.Converter:
        made = make_converter(detailed_validation=precise)
        made.register_structure_hook_factory(self._is_leaf, self._leaf_hook)
        made.register_structure_hook_factory(self._is_nested, self._nested_hook)
        made.register_unstructure_hook_factory(self._is_leaf, self._write_leaf)
        made.register_unstructure_hook_factory(self._is_nested, self._write_nested)
        return made

    def _is_leaf(self, annotation: Any) -> bool:
        return _LEAF in getattr(annotation, "__metadata__", ())

    def _marked(self, annotation: Any) -> Any:
        """Mark a type that holds no others, so that cattrs has no ideas of its own about it."""
        is_nested = isinstance(self.codec_for(annotation), Nested)
        return annotation if is_nested else typing.Annotated[annotation, _LEAF]

    def _is_nested(self, annotation: Any) -> bool:
        return isinstance(self.codec_for(annotation), Nested)

    # --- reading -----------------------------------------------------------------------------

    def _leaf_hook(self, annotation: Any) -> Hook:
        return self.leaf(annotation.__origin__, self.codec_for(annotation))

    def _nested_hook(self, annotation: Any, converter: cattrs.Converter) -> Hook:
        codec: Any = self.codec_for(annotation)
        read, misfit = self._parts(codec, converter), self.fits(codec)
        texts = self.leaf is _parse_leaf

        def hook(value: Any, annotation: Any) -> Any:
            if value is None and codec.optional:
                return None
            if texts and isinstance(value, str):
                return codec.from_text(value)
            if said := misfit(value):
                if self.stored and isinstance(value, dict):  # it stayed as it was stored
                    self.stored.precise.structure(value, annotation)
                raise Wrong(said)
            return read(value, annotation)

        return hook

    def _parts(self, codec: Nested, converter: cattrs.Converter) -> Hook:
        """Return the hook that reads what a value of the right kind holds."""
        kind: Any = codec.kind
        if kind is tuple and codec.items[-1:] != [Ellipsis]:
            items = [self._marked(item) for item in codec.items]
            return _places(items, [_late(converter, item) for item in items])
        if kind in CONTAINERS:
            quick = None if converter.detailed_validation else self._quick(codec)
            return quick or self._items(kind, self._marked(codec.items[0]), converter)
        if self.fits is _fits_value:
            return self._attributes(kind, converter)
        leaves = {
            name: override(struct_hook=self._leaf_hook(annotation))
            for name, annotation in self._attributes_of(kind)
            if self._is_leaf(annotation)
        }
        return make_dict_structure_fn(kind, converter, **leaves)  # type: ignore[arg-type]

    def _items(self, kind: Any, item: Any, converter: cattrs.Converter) -> Hook:
        if kind is dict:
            return make_mapping_structure_fn(dict[str, item], converter)
        held: Any = list[item]
        read = list_structure_factory(held, converter)
        return read if kind is list else lambda value, _: kind(read(value, held))

    def _quick(self, codec: Nested) -> Hook | None:
        """Return a hook for items that hold no others, if it can look at all of them at once."""
        kind: Any = codec.kind
        item = self.codec_for(codec.items[0])
        values = dict.values if kind is dict else iter
        hook, stored_as = self.leaf(codec.items[0], item), _stored_as(codec.items[0])

        def check(value: Any, _: Any) -> Any:
            if any(map(item.check, values(value))):
                raise Wrong(f"must be {codec.name}")
            return value

        def take(value: Any, annotation: Any) -> Any:
            if not stored_as.issuperset(map(type, values(value))):  # type: ignore[union-attr]
                for each in values(value):
                    hook(each, annotation)
            return kind(value)

        if isinstance(item, Nested):
            return None
        if self.leaf is _check_leaf:
            return check
        return take if self.leaf is _load_leaf and stored_as else None

    def _attributes(self, kind: type, converter: cattrs.Converter) -> Hook:
        """Return the hook that checks the attributes of an instance."""

        @functools.cache
        def parts() -> list[tuple[str, Any, Hook]]:
            return [(n, t, _late(converter, t)) for n, t in self._attributes_of(kind)]

        def check(value: Any, _: Any) -> Any:
            wrong: list[Exception] = []
            for name, annotation, hook in parts():
                try:
                    hook(getattr(value, name), annotation)
                except Exception as error:
                    error.add_note(AttributeValidationNote(name, name, annotation))
                    wrong.append(error)
            if wrong:
                raise ClassValidationError(f"Checking {kind.__name__}", wrong, kind)
            return value

        return check

    def _attributes_of(self, kind: type) -> list[tuple[str, Any]]:
        """Return the name and type of each attribute; those that hold no others are marked."""
        found = []
        for name, annotation in _annotations_of(kind):
            try:
                found.append((name, self._marked(annotation)))
            except TypeError as error:
                raise TypeError(f"{kind.__qualname__}.{name}: {error}") from None
        return found

    # --- writing -----------------------------------------------------------------------------

    def _write_leaf(self, annotation: Any) -> Callable[[Any], Any]:
        return inner(self.codec_for(annotation)) or identity

    def _write_nested(self, annotation: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
        codec: Any = self.codec_for(annotation)
        write = self._write_parts(codec, converter)
        return (lambda value: None if value is None else write(value)) if codec.optional else write

    def _write_parts(self, codec: Nested, converter: cattrs.Converter) -> Callable[[Any], Any]:
        kind = codec.kind
        if kind not in CONTAINERS:
            leaves = {
                name: override(unstruct_hook=self._write_leaf(annotation))
                for name, annotation in self._attributes_of(kind)
                if self._is_leaf(annotation)
            }
            return make_dict_unstructure_fn(
                kind,
                converter,
                _cattrs_include_init_false=True,
                **leaves,  # type: ignore[arg-type]
            )
        if kind is tuple and codec.items[-1:] != [Ellipsis]:
            writes = [_late_write(converter, self._marked(item)) for item in codec.items]
            return lambda value: [w(item) for w, item in zip(writes, value, strict=False)]
        write = _late_write(converter, self._marked(codec.items[0]))
        if kind is dict:
            if write is identity:
                return dict
            return lambda value: {key: write(item) for key, item in value.items()}
        if kind in (set, frozenset):  # always the same for an equal set
            return lambda value: sorted(map(write, value), key=repr)
        return list if write is identity else lambda value: [write(item) for item in value]


def _late(converter: cattrs.Converter, annotation: Any) -> Hook:
    """Return a hook; of a type that holds itself it is looked up when it is used."""
    try:
        return converter.get_structure_hook(annotation)
    except RecursionError:
        return converter.structure


def _late_write(converter: cattrs.Converter, annotation: Any) -> Callable[[Any], Any]:
    try:
        return converter.get_unstructure_hook(annotation)
    except RecursionError:
        return lambda value: converter.unstructure(value, unstructure_as=annotation)


def _places(items: Sequence[Any], hooks: Sequence[Hook]) -> Hook:
    """Return the hook of a tuple whose places are of several types."""

    def read(value: Any, annotation: Any) -> Any:
        found, wrong = [], []
        for index, (item, hook) in enumerate(zip(items, hooks, strict=True)):
            try:
                found.append(hook(value[index], item))
            except Exception as error:
                error.add_note(IterableValidationNote(str(index), index, item))
                wrong.append(error)
        if wrong:
            raise IterableValidationError("Reading a tuple", wrong, tuple)
        return tuple(found)

    return read


@functools.cache
def _annotations_of(kind: type) -> list[tuple[str, Any]]:
    if attrs.has(kind):
        return [(a.name, a.type or Any) for a in attrs.fields(attrs.resolve_types(kind))]
    hints = typing.get_type_hints(kind)
    return [(part.name, hints[part.name]) for part in dataclasses.fields(kind)]


# --- what fits, and single values ------------------------------------------------------------


def _fits_stored(codec: Nested) -> Callable[[Any], str | None]:
    return _fits(codec, list if codec.kind in CONTAINERS[1:] else dict)


def _fits_value(codec: Nested) -> Callable[[Any], str | None]:
    fits = _fits(codec, codec.kind)
    if codec.kind is not dict:
        return fits
    return lambda value: fits(value) or check_keys(value)


def _fits(codec: Nested, kind: type) -> Callable[[Any], str | None]:
    is_fixed = codec.kind is tuple and codec.items[-1:] != [Ellipsis]
    length = len(codec.items) if is_fixed else None

    def misfit(value: Any) -> str | None:
        if isinstance(value, kind) and (length is None or len(value) == length):  # type: ignore[arg-type]
            return None
        return wanted(codec.name, value)

    return misfit


def _stored_as(annotation: Any) -> frozenset[type] | None:
    """Return the types in which values of a type are stored, if they are taken as they are."""
    parts = typing.get_args(annotation) or (annotation,)
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    if not all(part is NoneType or part in _AS_STORED for part in parts) or (
        len(parts) > 1 and not is_union
    ):
        return None
    return frozenset(kind for part in parts for kind in _AS_STORED.get(part, (NoneType,)))


def _load_leaf(annotation: Any, codec: Codec) -> Hook:
    decode, check = codec.decode, codec.check
    if codec is ANY:
        return lambda value, _: decode_any(value)
    kinds = _stored_as(annotation) or frozenset((annotation, pendulum.DateTime))

    def take(value: Any, _: Any) -> Any:
        if value.__class__ not in kinds and (said := check(value)):
            raise Wrong(said)
        return value

    def load(value: Any, _: Any) -> Any:
        try:
            found = decode(value)  # type: ignore[misc]
        except Exception as error:
            raise Wrong(check(value) or str(error)) from None
        if found.__class__ not in kinds and (said := check(found)):
            raise Wrong(said)
        return found

    return take if decode is None else load


def _parse_leaf(annotation: Any, codec: Codec) -> Hook:
    def parse(value: Any, _: Any) -> Any:
        try:
            return codec.from_text(value)
        except ValueError as error:
            raise Wrong(str(error)) from None

    return parse


def _check_leaf(annotation: Any, codec: Codec) -> Hook:
    check = codec.check

    def hook(value: Any, _: Any) -> Any:
        if said := check(value):
            raise Wrong(said)
        return value

    return hook


# --- what went wrong -------------------------------------------------------------------------


def _faults(error: BaseException, place: str) -> Iterator[str]:
    """Yield each fault of a tree of errors, with its place."""
    if isinstance(error, BaseValidationError):
        for part in error.exceptions:
            yield from _faults(part, place + _place_of(part))
    elif isinstance(error, KeyError) and _place_of(error):
        yield f"{place} is missing"
    elif isinstance(error, Wrong):
        yield at(place, str(error)) if place else str(error)
    else:
        yield at(place, f"cannot be made: {error}").strip()


def _place_of(error: BaseException) -> str:
    for note in reversed(getattr(error, "__notes__", ())):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index!r}]"
    return ""
