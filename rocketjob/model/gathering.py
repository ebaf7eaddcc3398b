"""How the fields of a class are gathered from its bases, and which names they cannot have.

An annotated attribute of a class body is a field. A plain assignment to the name of an inherited
field changes its default for that class and those below it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import FrameType, FunctionType
from typing import Any, ClassVar, get_origin

import attrs

from rocketjob.base.errors import FieldClash
from rocketjob.model.encrypted_fields import SealedAttribute
from rocketjob.model.fields import MISSING, Field

SETTINGS = frozenset(("formerly", "schema_version", "upcast"))
ASKED_OF_INSTANCES = frozenset(("chain", "collection", "errors", "type_name"))


def gather(cls: type, scope: dict[str, Any]) -> dict[str, Field]:
    """Return the fields of a class being made, from all its bases, in order of definition."""
    fields: dict[str, Field] = {}
    clashes: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for name, field in _own_fields(base, cls, scope).items():
            _note_clash(clashes, fields.get(name), field, cls)
            _refuse_system_field(fields.get(name), field)
            fields[name] = field
        for name, default in _overrides(base, fields):
            fields[name] = _with_default(fields[name], default, base, cls)
        _refuse_bare_fields(base, fields)
    for message in clashes.values():
        raise FieldClash(message)
    _refuse_settings(fields)
    _refuse_names_in_use(fields, cls)
    shown = _shown_by_parent(cls)
    for name, field in fields.items():
        if name in cls.__dict__ or shown.get(name) is not field:
            show_default(cls, field)
    return fields


def _shown_by_parent(cls: type) -> Mapping[str, Field]:
    """Return the fields that the one base of a class shows already, for quick imports."""
    return getattr(cls.__base__, "__fields__", {}) if len(cls.__bases__) == 1 else {}


def caller_scope(cls: type) -> dict[str, Any]:
    """Return the local names where a class is being defined, to resolve text annotations."""
    if "<locals>" not in cls.__qualname__:
        return {}
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        inside = frame.f_code.co_name == "__init_subclass__"
        if not inside and frame.f_globals.get("__name__") == cls.__module__:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}


def _own_fields(base: type, cls: type, scope: dict[str, Any]) -> dict[str, Field]:
    """Return what one class itself declares; a base that is not a document is left as it is."""
    cached: dict[str, Field] | None = base.__dict__.get("__own_fields__")
    if cached is not None:
        return cached
    own = {}
    if base is not object and base.__module__ not in ("typing", "abc"):
        for name, annotation in inspect.get_annotations(base).items():
            if not name.startswith("_") and not _is_class_variable(annotation):
                own[name] = _declare(base, name, annotation, scope if base is cls else {})
    if base is cls:
        cls.__own_fields__ = own  # type: ignore[attr-defined]
    return own


def _declare(base: type, name: str, annotation: Any, scope: dict[str, Any]) -> Field:
    given = base.__dict__.get(name, MISSING)
    field = attrs.evolve(given) if isinstance(given, Field) else Field(default=given)
    field.name, field.annotation, field.owner = name, annotation, base
    field._scope = scope if isinstance(annotation, str) else {}
    if not isinstance(annotation, str):  # a text may name what is defined later
        _ = field.codec
    return field


def show_default(cls: type, field: Field) -> None:
    """Let a class itself answer with the default of a field, or with what goes before it.

    That is a helper such as `Job.count()`, or what decrypts. It is set on this class alone: a mixin
    stays as it was written, whatever else it is mixed into.
    """
    name = field.name
    present = _attribute(cls.__mro__, name)
    if isinstance(present, property | cached_property):
        return  # computes what is stored
    wanted = _class_attribute(cls, field)
    if name in cls.__dict__ and present is not wanted:
        delattr(cls, name)
        present = _attribute(cls.__mro__, name)
    if wanted is not present and (wanted is not MISSING or isinstance(present, Field)):
        wanted = _NoDefault() if wanted is MISSING else wanted
        setattr(cls, name, wanted)
        cls.__shown__ = {**cls.__dict__.get("__shown__", {}), name: wanted}  # type: ignore[attr-defined]


def _class_attribute(cls: type, field: Field) -> Any:
    helper = _attribute(cls.__mro__, field.name, classmethod, staticmethod, FunctionType)
    if helper is not MISSING and field.encrypted:
        raise TypeError(
            f"{field.owner.__qualname__}.{field.name} cannot be encrypted, since a helper of the "
            "class has that name: choose another"
        )
    if helper is not MISSING:
        return helper
    if field.encrypted:
        sealed = _attribute(cls.__mro__, field.name, SealedAttribute)
        return SealedAttribute(field.name) if sealed is MISSING else sealed
    return field.default


def _attribute(bases: Iterable[type], name: str, *kinds: type) -> Any:
    """Return the first attribute of that name, and of these kinds, as the classes hold it."""
    values = (base.__dict__[name] for base in bases if name in base.__dict__)
    return next((value for value in values if not kinds or isinstance(value, kinds)), MISSING)


class _NoDefault:
    """Stands before the `field()` of a mixin that has no default: the class has no such attribute.

    An instance has a value of its own.
    """

    def __get__(self, document: Any, owner: type) -> Any:
        raise AttributeError(f"type object {owner.__name__!r} has no such attribute")


def _overrides(base: type, fields: dict[str, Field]) -> Iterator[tuple[str, Any]]:
    cached: dict[str, Any] = base.__dict__.get("__overrides__", {})
    shown: dict[str, Any] = base.__dict__.get("__shown__", {})
    declared = inspect.get_annotations(base)
    for name in fields.keys() & (cached.keys() | base.__dict__.keys()):
        value = base.__dict__.get(name, MISSING)
        if name in declared or value is shown.get(name, MISSING):  # not assigned by the class
            value = cached.get(name, MISSING)
        if value is MISSING:
            continue
        if isinstance(value, property):
            continue  # computes what is stored; it must have a setter
        if isinstance(value, classmethod | staticmethod) or inspect.isfunction(value):
            raise TypeError(
                f"{base.__qualname__}.{name} is a field of {fields[name].owner.__qualname__}: "
                "a method cannot take its place; choose another name"
            )
        yield name, value


def _with_default(inherited: Field, default: Any, base: type, cls: type) -> Field:
    if isinstance(default, Field):
        raise TypeError(
            f"{base.__qualname__}.{inherited.name} = field(...) needs an annotation, "
            f"for example `{inherited.name}: {_type_name(inherited.annotation)} = field(...)`"
        )
    field = attrs.evolve(inherited, default=default, factory=None)
    if base is cls:  # it may not stay on the class: see `show_default`
        cls.__overrides__ = {**cls.__dict__.get("__overrides__", {}), field.name: default}  # type: ignore[attr-defined]
    return field


def _refuse_bare_fields(base: type, fields: Mapping[str, Field]) -> None:
    for name, value in base.__dict__.items():
        if isinstance(value, Field) and name not in fields:
            raise TypeError(
                f"{base.__qualname__}.{name} = field(...) needs an annotation, "
                f"for example `{name}: int = field(...)`"
            )


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "...")


def _note_clash(clashes: dict[str, str], inherited: Field | None, field: Field, cls: type) -> None:
    """Note a field that unrelated bases have; a class that declares it again settles that."""
    if inherited is None or inherited.owner is field.owner:
        return
    if issubclass(field.owner, inherited.owner):
        clashes.pop(field.name, None)
    else:
        clashes[field.name] = (
            f"{cls.__qualname__} inherits the field {field.name} from "
            f"{inherited.owner.__qualname__} and from {field.owner.__qualname__}, which are "
            "unrelated: rename one of them"
        )


def _refuse_system_field(inherited: Field | None, field: Field) -> None:
    if inherited is not None and inherited.read_only and not field.read_only:
        owner, theirs, name = field.owner.__qualname__, inherited.owner.__qualname__, field.name
        raise FieldClash(
            f"{owner}.{name}: every {theirs} has a field {name} that only the system sets: "
            "choose another name"
        )


def _refuse_settings(fields: dict[str, Field]) -> None:
    """Refuse a field that would be taken for a setting of the class, or the other way round."""
    for name in SETTINGS & fields.keys():
        raise FieldClash(
            f"{fields[name].owner.__qualname__}.{name} says how documents of earlier code are "
            f"read, and is no field: write `{name} = ...` without an annotation, or choose "
            "another name for a field"
        )


def _refuse_names_in_use(fields: dict[str, Field], cls: type) -> None:
    """Refuse a field in the place of what instances have: those who use that would meet the value.

    What a class has for itself (`Job.count()`) may share its name with a field of the instances.
    """
    for name in ASKED_OF_INSTANCES & fields.keys():
        raise _in_use(fields[name].owner, name, "every document has something")
    for base in cls.__mro__:
        for name in fields.keys() & base.__dict__.keys():
            value, owner = base.__dict__[name], fields[name].owner
            is_method = isinstance(value, FunctionType)
            if not is_method and not isinstance(value, property | cached_property):
                continue
            if owner is not base and not issubclass(base, owner):
                what = "method" if is_method else "property"
                known = _known_class(cls, base)
                raise _in_use(owner, name, f"{known.__qualname__} has a {what}")


def _known_class(cls: type, base: type) -> type:
    """Return the class that users know: `Job`, not one of the abstract ones that it is made of."""
    below = (other for other in reversed(cls.__mro__) if issubclass(other, base))
    return next((other for other in below if not vars(other).get("__abstract__")), base)


def _in_use(owner: type, name: str, whose: str) -> FieldClash:
    return FieldClash(
        f"{owner.__qualname__}.{name}: {whose} of that name, which would be lost: "
        "choose another name"
    )


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.replace("typing.", "").startswith("ClassVar")
    return annotation is ClassVar or get_origin(annotation) is ClassVar
