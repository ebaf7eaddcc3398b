"""What is worked out once of the fields of a class, for all that is done to every instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from rocketjob.model.fields import MISSING, Field
from rocketjob.model.renewal import Renewer, renewer_of
from rocketjob.model.validation import Check, checks_of

T = TypeVar("T")
Function = Callable[[Any], Any] | None
MAX_SHAPES = 100  # of one class: people edit documents by hand, and others store what they like


class Shape(NamedTuple):
    """How documents are loaded that have the same keys in the same order.

    Attributes:
        defaults: the values of the fields that are not stored, as far as all instances share them.
        made: the fields whose default is made for each instance.
        others: the keys whose values are not, as they are, those of the fields of that name.
        renamed: key and name of what is stored under another name, and taken as it is.
        read: key, name, decoder and field of what is decoded.
        encrypted: key and field of what is decrypted when it is first asked for.
    """

    defaults: dict[str, Any]
    made: list[Field]
    others: list[str]
    renamed: list[tuple[str, str]]
    read: list[tuple[str, str, Callable[[Any], Any], Field]]
    encrypted: list[tuple[str, Field]]


class Form(NamedTuple):
    """How documents are stored to which the same fields were assigned.

    Attributes:
        common: what they all have, and the places of the other keys.
        writers: name, stored key, whether None is left out, and what turns a value into BSON, of
            what each has of its own.
    """

    common: dict[str, Any]
    writers: list[tuple[str, str, bool, Function]]


class Layout:
    """The fields of a class, as its instances are made, checked, stored and loaded.

    Each part is worked out when it is first asked for: only then do all annotations resolve.
    """

    def __init__(self, cls: Any, fields: dict[str, Field]) -> None:
        self.cls, self.fields = cls, fields
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._checks: dict[frozenset[str], list[Check]] = {}
        self._forms: dict[frozenset[str] | None, Form] = {}

    @cached_property
    def renewer(self) -> Renewer | None:
        """How documents of earlier code are read; None where the class never changed."""
        return renewer_of(self.cls, self.fields)

    @cached_property
    def present_names(self) -> dict[str, str]:
        """The names of renamed fields, by the names that they had."""
        return {old: name for name, field in self.fields.items() for old in field.formerly}

    @cached_property
    def marks(self) -> dict[str, Any]:
        """What is stored of the class besides its name, for code that is older than it."""
        return {} if self.renewer is None else self.renewer.marks

    @cached_property
    def plain_defaults(self) -> dict[str, Any]:
        """The defaults that all instances share."""
        return {name: field.default for name, field in self.fields.items() if field.is_plain}

    @cached_property
    def other_defaults(self) -> list[Field]:
        """The fields whose default is made for each instance."""
        return [field for field in self.fields.values() if not field.is_plain]

    @cached_property
    def makers(self) -> list[tuple[str, Callable[..., Any], Function, Field | None]]:
        """Name, maker and converter of each value, and the field if its factory takes the job."""
        return [
            (
                f.name,
                f.factory or f.make_default,
                None if _needs_no_conversion(f) else f.codec.convert,
                f if f.factory_takes_job else None,
            )
            for f in self.other_defaults
        ]

    @cached_property
    def setters(self) -> dict[str, Function]:
        """What converts a value that is assigned; None: it is taken as it is."""
        return {name: field.codec.convert for name, field in self.fields.items()}

    @cached_property
    def checks(self) -> list[Check]:
        """What each value is checked for."""
        return checks_of(self.cls, self.fields.values())

    def checks_of_new(self, assigned: frozenset[str]) -> list[Check]:
        """Return what is checked of an instance to which nothing but these was assigned."""
        found = self._checks.get(assigned)
        if found is not None:  # of some there is nothing to be checked
            return found
        found = [each for each in self.checks if each.name in assigned or not each.is_settled]
        return _kept(self._checks, assigned, found)

    @cached_property
    def writers(self) -> list[tuple[str, str, bool, Function]]:
        """Name, stored key, whether None is left out, and what turns a value into BSON."""
        return [
            (name, field.key, field.leaves_none_out, field.codec.encode)
            for name, field in self.fields.items()
            if not field.is_stored_apart
        ]

    def form_of(self, touched: frozenset[str] | None) -> Form:
        """Return how instances are stored.

        Args:
            touched: those of new ones that may hold something else than their default; None: all.
        """
        form = self._forms.get(touched)
        return form or _kept(self._forms, touched, self._new_form(touched))

    def _new_form(self, touched: frozenset[str] | None) -> Form:
        common: dict[str, Any] = {"_id": None, "_type": self.cls.type_name(), **self.marks}
        if touched is None:
            return Form(common, self.writers)
        own: list[tuple[str, str, bool, Function]] = []
        for writer in self.writers:
            name, key, leaves_none_out, write = writer
            value = self.plain_defaults.get(name, MISSING)
            if value is not None and value is not MISSING and write is not None:
                value = write(value)
            is_shared = not (value is MISSING or name in touched or name in self.mutable)
            if not is_shared or isinstance(value, dict | list):
                own.append(writer)
                common[key] = None
            elif value is not None or not leaves_none_out:
                common[key] = value
        return Form(common, own)

    @cached_property
    def stored_apart(self) -> list[Field]:
        """The fields whose value is not all that says how, or whether, it is stored."""
        return [field for field in self.fields.values() if field.is_stored_apart]

    def shape_of(self, stored: Iterable[str]) -> Shape:
        """Return how a document with these keys is loaded; nearly all of a class have the same."""
        keys = tuple(stored)
        shape = self._shapes.get(keys)
        return shape or _kept(self._shapes, keys, self._new_shape(keys))

    def _new_shape(self, keys: tuple[str, ...]) -> Shape:
        by_key = {field.key: field for field in self.fields.values()}
        stored = [(key, by_key[key]) for key in keys if key in by_key]
        encrypted = [(key, field) for key, field in stored if field.encrypted]
        taken = [(k, f) for k, f in stored if not f.encrypted and f.codec.decode is None]
        as_they_are = {key for key, field in taken if key == field.name}
        names = {field.name for _, field in stored}
        return Shape(
            defaults={name: v for name, v in self.plain_defaults.items() if name not in names},
            made=[field for field in self.other_defaults if field.name not in names],
            others=[key for key in keys if key not in as_they_are],
            renamed=[(key, field.name) for key, field in taken if key != field.name],
            read=[
                (key, field.name, decode, field)
                for key, field in stored
                if (decode := field.codec.decode) is not None and not field.encrypted
            ],
            encrypted=encrypted,
        )

    @cached_property
    def mutable(self) -> frozenset[str]:
        """The fields whose values can change without being assigned."""
        return frozenset(name for name, field in self.fields.items() if field.codec.mutable)


def _kept(known: dict[Any, T], key: Any, made: T) -> T:
    """Keep what was worked out; if there is too much of it, begin anew."""
    if len(known) >= MAX_SHAPES:
        known.clear()
    known[key] = made
    return made


def _needs_no_conversion(field: Field) -> bool:
    """Return whether what the field's factory makes is what its type would make of it."""
    if not field.makes_alike or field.codec.convert is None:
        return False
    made = field.make_default()
    return field.codec.convert(made) is made
