"""Validation: every message of a document at once, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs

from rocketjob.base.functions import refuse_unawaited
from rocketjob.model.encrypted_fields import Sealed

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__rocketjob_validation__"
_UNTOLD = "is refused by its validator; why is not shown, since that may tell the value"


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
    return [name for name, value in cls.__dict__.items() if getattr(value, MARK, False)]


def check_fields(document: Any, fields: Iterable[Any], errors: Errors) -> None:
    """Check presence, type and validator of each field."""
    values = document.__dict__
    for field in fields:
        value = values.get(field.name)
        if value is None and field.codec.optional:
            continue
        if isinstance(value, Sealed):
            continue  # as it is stored, and valid when that was done
        if value is None:
            errors.add(field.name, "is required" if field.required else _must_be_set(field))
            continue
        faults = field.unless_secret(field.codec.faults(value))
        for message in faults:
            errors.add(field.name, message)
        if not faults and field.validator is not None:
            _run_validator(document, field, value, errors)


def _must_be_set(field: Any) -> str:
    return f"must be {field.codec.name}, not None"


def _run_validator(document: Any, field: Any, value: Any, errors: Errors) -> None:
    attribute = attrs.fields_dict(type(document)).get(field.name, field)
    try:
        field.validator(document, attribute, value)
    except (ValueError, TypeError) as error:
        errors.add(field.name, _UNTOLD if field.encrypted else _message(error, field.name))


def _message(error: Exception, name: str) -> str:
    """Return a validator's message without the name that attrs puts in front of it."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return re.sub(rf"^'{re.escape(name)}'\s*(:\s*)?", "", text)
