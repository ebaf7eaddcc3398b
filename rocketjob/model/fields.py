"""Fields of a document: `field()`, and how a class's fields are gathered.

An annotated attribute of a class body is a field. A plain assignment to the name of an inherited
field changes its default for that class and those below it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from types import FrameType, FunctionType
from typing import Any, ClassVar, Literal, TypeVar, get_origin, overload

import attrs

from rocketjob.base.errors import FieldClash, ValidationError
from rocketjob.base.functions import refuse_unawaited
from rocketjob.model.encrypted_fields import Sealed, SealedAttribute, encrypt
from rocketjob.model.registry import class_called
from rocketjob.model.types import Codec, Misfit, codec_for

T = TypeVar("T")
MISSING: Any = type("MISSING", (), {"__repr__": lambda self: "<no default>"})()
ASKED_OF_INSTANCES = frozenset(("chain", "collection", "errors", "type_name"))
IMMUTABLE = (str, int, float, bool, bytes, type(None), tuple, frozenset)


@attrs.define(eq=False, kw_only=True, slots=False)
class Field:
    """What is known of one field; `Job.fields()` returns them by name."""

    name: str = ""
    annotation: Any = Any
    default: Any = MISSING
    factory: Callable[..., Any] | None = None
    validator: Callable[..., None] | None = None
    user_editable: bool = False
    copy_on_restart: bool = False
    encrypted: bool = False
    pre_processed: bool = False
    description: str | None = None
    read_only: bool = False
    owner: type = object
    _scope: dict[str, Any] = attrs.field(factory=dict, repr=False)

    @functools.cached_property
    def key(self) -> str:
        """The field's name in the stored document."""
        return "_id" if self.name == "id" else self.name

    @functools.cached_property
    def required(self) -> bool:
        return self.default is MISSING and self.factory is None and not self.codec.optional

    @functools.cached_property
    def factory_takes_job(self) -> bool:
        return self.factory is not None and _takes_argument(self.factory)

    @functools.cached_property
    def codec(self) -> Codec:
        """How values are checked, stored, loaded and parsed; the annotation is resolved once."""
        try:
            return codec_for(self._resolve())
        except TypeError as error:
            raise TypeError(f"{self.owner.__qualname__}.{self.name}: {error}") from None

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether all instances can share the default: it can neither change nor be converted."""
        shared = self.factory is None and isinstance(self.default, IMMUTABLE)
        return shared and (self.default is None or self.codec.convert is None)

    def store(self, value: Any) -> Any:
        """Return a value as it is stored; MISSING if the field is left out."""
        if value is None:
            # Left out where loading gives None again; else the default would come back.
            left_out = (self.default is None or self.default is MISSING) and self.factory is None
            return MISSING if left_out else None
        if self.encrypted:
            return value.data if isinstance(value, Sealed) else encrypt(self, value)
        return value if self.codec.encode is None else self.codec.encode(value)

    def load(self, stored: Any, strict: bool = True) -> Any:
        """Return a stored value as the field has it.

        Args:
            strict: raise for one that does not fit, since the field's type has changed; otherwise
                it stays as it is stored, and validation will say so.
        """
        decode = self.codec.decode
        try:
            return stored if stored is None or decode is None else decode(stored)
        except Exception as error:
            if not strict:
                return stored
            said = error.faults if isinstance(error, Misfit) else self.codec.faults(stored)
            said = self.unless_secret(said or [str(error)])
            raise ValidationError({self.name: said}, self.owner.__name__) from None

    def unless_secret(self, messages: list[str]) -> list[str]:
        """Return messages that may have the value in them, or one without if it is encrypted."""
        if not self.encrypted or not messages:
            return messages
        return [f"must be {self.codec.name}; the value is not shown"]

    def make_default(self) -> Any:
        """Return a fresh default; None where there is none, or where its factory needs the job."""
        if self.factory is not None:
            return None if self.factory_takes_job else self.factory()
        if self.default is MISSING:
            return None
        return self.default if isinstance(self.default, IMMUTABLE) else _copy(self.default)

    def _resolve(self) -> Any:
        if not isinstance(self.annotation, str):
            return self.annotation
        module = sys.modules.get(self.owner.__module__)
        names = {**getattr(module, "__dict__", {}), **self._scope}
        try:
            return eval(self.annotation, names)
        except NameError as error:
            raise TypeError(
                f"the annotation {self.annotation!r} cannot be resolved: {error}. "
                "Define or import the name at module level, not under TYPE_CHECKING"
            ) from None


def _copy(value: Any) -> Any:
    import copy  # for start-up time

    return copy.deepcopy(value)


def _takes_argument(factory: Callable[..., Any]) -> bool:
    """Return whether a factory takes the job: a class, or one without arguments, does not."""
    if isinstance(factory, type) or not hasattr(factory, "__code__"):
        return False
    arguments = factory.__code__.co_argcount
    if inspect.ismethod(factory):
        arguments -= 1
    return bool(arguments - len(factory.__defaults__ or ()) > 0)


@overload
def field(
    *,
    default: T,
    validator: Callable[..., None] | None = ...,
    user_editable: bool = ...,
    copy_on_restart: bool = ...,
    encrypted: bool = ...,
    pre_processed: bool = ...,
    description: str | None = ...,
) -> T: ...
@overload
def field(
    *,
    factory: Callable[[], T] | Callable[[Any], T],
    validator: Callable[..., None] | None = ...,
    user_editable: bool = ...,
    copy_on_restart: bool = ...,
    encrypted: bool = ...,
    pre_processed: bool = ...,
    description: str | None = ...,
) -> T: ...
@overload
def field(
    *,
    validator: Callable[..., None] | None = ...,
    user_editable: bool = ...,
    copy_on_restart: bool = ...,
    encrypted: bool = ...,
    pre_processed: bool = ...,
    description: str | None = ...,
) -> Any: ...
def field(
    *,
    default: Any = MISSING,
    factory: Callable[..., Any] | None = None,
    validator: Callable[..., None] | None = None,
    user_editable: bool = False,
    copy_on_restart: bool = False,
    encrypted: bool = False,
    pre_processed: bool = False,
    description: str | None = None,
) -> Any:
    """Describe a field of a job class.

    Args:
        default: the value of an instance that is not given one; a list or dict is copied for each.
        factory: makes the default; it takes nothing or the job. One that takes the job runs after
            all other fields are set.
        validator: called as `validator(job, attribute, value)`; raises ValueError or TypeError to
            object. Those of `rocketjob.validators` do.
        user_editable: whether people may change it in the web interface.
        copy_on_restart: whether the next instance of a recurring job takes the value over.
        encrypted: whether the value is stored encrypted; needs `encryption_keys`. It is shown
            nowhere; a process without the key can do all but read it.
        pre_processed: run a factory that takes the job before the other fields are set.
        description: shown in help and forms.

    Raises:
        TypeError: both a default and a factory.
    """
    if default is not MISSING and factory is not None:
        raise TypeError("field(): give a default or a factory, not both")
    if factory is not None and not callable(factory):
        raise TypeError("field(): factory must be callable; for a plain value use default=")
    for name, function in (("factory", factory), ("validator", validator)):
        if function is not None:
            refuse_unawaited(function, f"field({name}=)")
    return Field(
        default=default,
        factory=factory,
        validator=validator,
        user_editable=user_editable,
        copy_on_restart=copy_on_restart,
        encrypted=encrypted,
        pre_processed=pre_processed,
        description=description,
    )


def read_only_field(
    *,
    default: Any = None,
    factory: Callable[[], Any] | None = None,
    init: Literal[False] = False,
) -> Any:
    """Describe a field that only the system sets: it is not an argument of the constructor.

    `init` tells type checkers so.
    """
    made = field(default=default) if factory is None else field(factory=factory)
    made.read_only = True
    return made


def gather(cls: type, scope: dict[str, Any]) -> dict[str, Field]:
    """Return the fields of a class being made, from all its bases, in order of definition."""
    fields: dict[str, Field] = {}
    clashes: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for name, made in _own_fields(base, cls, scope).items():
            _note_clash(clashes, fields.get(name), made, cls)
            _refuse_system_field(fields.get(name), made)
            fields[name] = made
        for name, default in _overrides(base, fields):
            fields[name] = _with_default(fields[name], default, base, cls)
        _refuse_bare_fields(base, fields)
    for message in clashes.values():
        raise FieldClash(message)
    _refuse_names_in_use(fields, cls)
    for made in fields.values():
        show_default(cls, made)
    return fields


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
    made = attrs.evolve(given) if isinstance(given, Field) else Field(default=given)
    made.name, made.annotation, made.owner = name, annotation, base
    made._scope = scope if isinstance(annotation, str) else {}
    if not isinstance(annotation, str):  # a text may name what is defined later
        _ = made.codec
    return made


def show_default(cls: type, made: Field) -> None:
    """Let a class itself answer with the default of a field, or with what goes before it.

    That is a helper such as `Job.count()`, or what decrypts. It is set on this class alone: a mixin
    stays as it was written, whatever else it is mixed into.
    """
    name = made.name
    present = _attribute(cls.__mro__, name)
    if isinstance(present, property | cached_property):
        return  # computes what is stored
    wanted = _class_attribute(cls, made)
    if name in cls.__dict__ and present is not wanted:
        delattr(cls, name)
        present = _attribute(cls.__mro__, name)
    if wanted is not present and (wanted is not MISSING or isinstance(present, Field)):
        wanted = _NoDefault() if wanted is MISSING else wanted
        setattr(cls, name, wanted)
        cls.__shown__ = {**cls.__dict__.get("__shown__", {}), name: wanted}  # type: ignore[attr-defined]


def _class_attribute(cls: type, made: Field) -> Any:
    helper = _attribute(cls.__mro__, made.name, classmethod, staticmethod, FunctionType)
    if helper is not MISSING and made.encrypted:
        raise TypeError(
            f"{made.owner.__qualname__}.{made.name} cannot be encrypted, since a helper of the "
            "class has that name: choose another"
        )
    if helper is not MISSING:
        return helper
    if made.encrypted:
        sealed = _attribute(cls.__mro__, made.name, SealedAttribute)
        return SealedAttribute(made.name) if sealed is MISSING else sealed
    return made.default


def _attribute(bases: Iterable[type], name: str, *kinds: type) -> Any:
    """Return the first attribute of that name, and of these kinds, as the classes hold it."""
    found = (base.__dict__[name] for base in bases if name in base.__dict__)
    return next((value for value in found if not kinds or isinstance(value, kinds)), MISSING)


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
    made = attrs.evolve(inherited, default=default, factory=None)
    if base is cls:  # it may not stay on the class: see `show_default`
        cls.__overrides__ = {**cls.__dict__.get("__overrides__", {}), made.name: default}  # type: ignore[attr-defined]
    return made


def _refuse_bare_fields(base: type, fields: Mapping[str, Field]) -> None:
    for name, value in base.__dict__.items():
        if isinstance(value, Field) and name not in fields:
            raise TypeError(
                f"{base.__qualname__}.{name} = field(...) needs an annotation, "
                f"for example `{name}: int = field(...)`"
            )


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "...")


def _note_clash(clashes: dict[str, str], present: Field | None, made: Field, cls: type) -> None:
    """Note a field that unrelated bases have; a class that declares it again settles that."""
    if present is None or present.owner is made.owner:
        return
    if issubclass(made.owner, present.owner):
        clashes.pop(made.name, None)
    else:
        clashes[made.name] = (
            f"{cls.__qualname__} inherits the field {made.name} from {present.owner.__qualname__} "
            f"and from {made.owner.__qualname__}, which are unrelated: rename one of them"
        )


def _refuse_system_field(present: Field | None, made: Field) -> None:
    if present is not None and present.read_only and not made.read_only:
        owner, theirs, name = made.owner.__qualname__, present.owner.__qualname__, made.name
        raise FieldClash(
            f"{owner}.{name}: every {theirs} has a field {name} that only the system sets: "
            "choose another name"
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
    if base.__base__ is object:
        return base
    below = (other for other in reversed(cls.__mro__) if issubclass(other, base))
    return next((other for other in below if class_called(other.__name__) is other), base)


def _in_use(owner: type, name: str, whose: str) -> FieldClash:
    return FieldClash(
        f"{owner.__qualname__}.{name}: {whose} of that name, which would be lost: "
        "choose another name"
    )


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.replace("typing.", "").startswith("ClassVar")
    return annotation is ClassVar or get_origin(annotation) is ClassVar
