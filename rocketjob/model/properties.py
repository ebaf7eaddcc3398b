"""Documents made from texts, as forms, command lines and directory monitors have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from rocketjob.base.errors import ValidationError
from rocketjob.base.text import did_you_mean
from rocketjob.model.document_class import DocumentClass
from rocketjob.model.encrypted_fields import Sealed, decrypt
from rocketjob.model.fields import Field
from rocketjob.model.record import record_of, values_of
from rocketjob.model.validation import Errors

D = TypeVar("D", bound=DocumentClass)


def from_texts(cls: type[D], properties: Mapping[str, Any]) -> D:
    """Make a document of texts; see `Document.from_properties`."""
    errors, values, sealed = Errors(), {}, {}
    for old, name in cls.__layout__.present_names.items():
        if old in properties and name in properties:
            errors.add(old, f"is called {name} now, and both are given")
    for name, text in cls.under_present_names(properties).items():
        field = cls.__fields__.get(name)
        if field is None or field.read_only:
            errors.add(name, _unknown_property(cls, name))
        elif isinstance(text, Sealed) and field.encrypted:
            sealed[name] = text
        else:
            try:
                values[name] = _parsed(field, text, cls)
            except ValueError as error:
                for message in field.unless_secret([str(error)]):
                    errors.add(name, message)
    if errors:
        raise ValidationError(errors, cls.__name__)
    document: Any = cls(**values)
    values_of(document).update(sealed)
    record_of(document).assigned.update(sealed)
    return document  # type: ignore[no-any-return]


def _parsed(field: Field, text: Any, cls: type[DocumentClass]) -> Any:
    plain = decrypt(field, text.data, cls) if isinstance(text, Sealed) else text
    return field.codec.from_text(plain)


def sealed_texts(cls: type[DocumentClass], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties with those of encrypted fields encrypted, as the fields would be."""
    properties = cls.under_present_names(properties)
    secret = {
        n: p for n, p in properties.items() if n in cls.__fields__ and cls.__fields__[n].encrypted
    }
    values = dict(properties)
    if not secret:
        return values
    document = from_texts(cls, secret)
    for name in secret:
        value = cls.__fields__[name].store(values_of(document)[name], cls)
        if isinstance(value, bytes):  # not None, which tells nothing
            values[name] = Sealed(value)
    return values


def refuse_unknown(cls: type[DocumentClass], names: Mapping[str, Any]) -> None:
    """Refuse a keyword argument that is not a field, or that only the system sets."""
    fields = cls.__fields__
    for name in names:
        if name in cls.__layout__.present_names:
            present = cls.__layout__.present_names[name]
            raise TypeError(f"{cls.__name__}.{name} is called {present} now")
        if name not in fields:
            raise TypeError(f"{cls.__name__} has no field {name}; {_known_fields(cls, name)}")
        if fields[name].read_only:
            raise TypeError(f"{cls.__name__}.{name} is set by the system and cannot be given")


def _unknown_property(cls: type[DocumentClass], name: str) -> str:
    """Say it as a message of a field, in front of which its name and the class are shown."""
    if name in cls.__fields__:
        return "is set by the system and cannot be given"
    return f"there is no such field; {_known_fields(cls, name)}"


def _known_fields(cls: type[DocumentClass], name: str) -> str:
    settable = [n for n, field in cls.__fields__.items() if not field.read_only]
    return did_you_mean(name, settable, f"it has {', '.join(sorted(settable))}")
