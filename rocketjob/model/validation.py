"""Validation: every message of a document at once, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import attrs

from rocketjob.base.functions import refuse_pending, refuse_unawaited
from rocketjob.model.encrypted_fields import Sealed
from rocketjob.model.fields import Field
from rocketjob.model.types.base import TOO_DEEP
from rocketjob.model.validators import is_by_value

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__rocketjob_validation__"
_NONE: Any = object()  # no value is this one
_UNTOLD = "is refused by its validator; why is not shown, since that may tell the value"


class Check(NamedTuple):
    """What one value is checked for."""

    name: str
    is_optional: bool
    check: Callable[[Any], str | None]
    field: Field
    attribute: Any
    """As attrs knows it: what a validator is given."""
    valid: Any
    """The default, if it is valid and all instances share it: that very object is not judged."""
    is_settled: bool
    """Whether whatever an instance has by default is known to be valid."""


class Errors(Mapping[str, list[str]]):
    """Messages by field, collected while a document is validated."""

    def __init__(self) -> None:
        self._messages: dict[str, list[str]] = {}
        self._wrong = False

    def add(self, field: str, message: str, *, conflict: bool = False) -> None:
        """Add what is wrong with a field.

        Args:
            conflict: the value is right, but another document is in the way.
        """
        self._wrong |= not conflict
        messages = self._messages.setdefault(field, [])
        if message not in messages:
            messages.append(message)

    @property
    def conflict(self) -> bool:
        """Whether all that is wrong is that another document is in the way."""
        return bool(self._messages) and not self._wrong

    def clear(self) -> None:
        self._messages.clear()
        self._wrong = False

    def __getitem__(self, field: str) -> list[str]:
        return self._messages[field]

    def __iter__(self) -> Any:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def __repr__(self) -> str:
        return f"Errors({self._messages!r})"


def validate(function: F) -> F:
    """Mark a method that adds messages to `self.errors` where the document is not valid."""
    refuse_unawaited(function, "@validate")
    setattr(function, MARK, True)
    return function


def own_validations(cls: type) -> list[str]:
    """Return the names of the validating methods that one class itself declares."""
    return [
        name
        for name, value in cls.__dict__.items()
        if type(value) is FunctionType and getattr(value, MARK, False)
    ]


def checks_of(cls: type, fields: Iterable[Field]) -> list[Check]:
    """Return what the values of fields are checked for, in the form that is quick to go through."""
    attributes = attrs.fields_dict(cls)
    return [_check_of(field, attributes.get(field.name, field)) for field in fields]


def _check_of(field: Field, attribute: Any) -> Check:
    is_settled = _has_valid_default(field, attribute)
    return Check(
        name=field.name,
        is_optional=field.codec.optional,
        check=field.codec.check,
        field=field,
        attribute=attribute,
        valid=field.default if is_settled and field.is_plain else _NONE,
        is_settled=is_settled,
    )


def _has_valid_default(field: Field, attribute: Any) -> bool:
    """Return whether the default is valid, whatever else an instance has."""
    if not (field.is_plain or field.makes_alike):
        return False
    value = field.default if field.is_plain else field.make_default()
    if value is None:
        return field.codec.optional  # no validator is asked about None
    if field.codec.check(value) is not None:
        return False
    if field.validator is None:
        return True
    if not is_by_value(field.validator):
        return False
    try:
        field.validator(None, attribute, value)
    except (ValueError, TypeError):
        return False
    return True


def check_fields(document: Any, fields: Iterable[Field], errors: Errors) -> None:
    """Check presence, type and validator of each field."""
    run_checks(document, checks_of(type(document), fields), errors)


def run_checks(document: Any, checks: Iterable[Check], errors: Errors) -> None:
    """Check presence, type and validator of each value; every job passes here."""
    values = document.__dict__
    for name, is_optional, check, field, attribute, valid, _ in checks:
        value = values.get(name)
        if value is valid:
            continue
        if value is None:
            if not is_optional:
                errors.add(name, "is required" if field.required else _must_be_set(field))
        elif value.__class__ is Sealed:
            continue  # as it is stored, and valid when that was done
        elif (messages := _faults(field, check, value)) is not None:
            for message in field.unless_secret(messages):
                errors.add(name, message)
        elif field.validator is not None:
            _run_validator(document, field, attribute, value, errors)


def _faults(field: Field, check: Callable[[Any], str | None], value: Any) -> list[str] | None:
    try:
        return None if check(value) is None else field.codec.faults(value)
    except RecursionError:
        return [TOO_DEEP]


def _must_be_set(field: Field) -> str:
    return f"must be {field.codec.name}, not None"


def _run_validator(document: Any, field: Field, attribute: Any, value: Any, errors: Errors) -> None:
    try:
        refuse_pending(
            field.validator(document, attribute, value),  # type: ignore[misc]
            "its validator",
        )
    except (ValueError, TypeError) as error:
        errors.add(field.name, _UNTOLD if field.encrypted else _message(error, field.name))


def _message(error: Exception, name: str) -> str:
    """Return a validator's message without the name that attrs puts in front of it."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return re.sub(rf"^'{re.escape(name)}'\s*(:\s*)?", "", text)
