"""What is worked out once of the fields of a class, for all that is done to every instance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from rocketjob.model.fields import Field
from rocketjob.model.renewal import Renewer, renewer_of
from rocketjob.model.validation import Check, checks_of

Function = Callable[[Any], Any] | None


class Layout:
    """The fields of a class, as its instances are made, checked, stored and loaded.

    Each part is worked out when it is first asked for: only then do all annotations resolve.
    """

    def __init__(self, cls: type, fields: dict[str, Field]) -> None:
        self.cls, self.fields = cls, fields

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
    def setters(self) -> dict[str, Function]:
        """What converts a value that is assigned; None: it is taken as it is."""
        return {name: field.codec.convert for name, field in self.fields.items()}

    @cached_property
    def checks(self) -> list[Check]:
        """What each value is checked for."""
        return checks_of(self.cls, self.fields.values())

    @cached_property
    def writers(self) -> list[tuple[str, str, bool, Function]]:
        """Name, stored key, whether None is left out, and what turns a value into BSON."""
        return [
            (name, field.key, field.leaves_none_out, field.codec.encode)
            for name, field in self.fields.items()
            if not field.is_stored_apart
        ]

    @cached_property
    def stored_apart(self) -> list[Field]:
        """The fields whose value is not all that says how, or whether, it is stored."""
        return [field for field in self.fields.values() if field.is_stored_apart]

    @cached_property
    def readers(self) -> dict[str, tuple[str, bool, Field]]:
        """Name, whether the value is taken as it is stored, and the field, by stored key."""
        return {
            field.key: (name, not field.encrypted and field.codec.decode is None, field)
            for name, field in self.fields.items()
        }

    @cached_property
    def mutable(self) -> frozenset[str]:
        """The fields whose values can change without being assigned."""
        return frozenset(name for name, field in self.fields.items() if field.codec.mutable)
