"""One field of a document: what `field()` says of it, and how its values are stored and loaded."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, overload

import attrs
from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import ValidationError
from rocketjob.base.functions import refuse_unawaited
from rocketjob.model.encrypted_fields import Sealed, encrypt
from rocketjob.model.types import Codec, Misfit, codec_for

T = TypeVar("T")
MISSING: Any = type("MISSING", (), {"__repr__": lambda self: "<no default>"})()
IMMUTABLE = (str, int, float, bool, bytes, type(None), tuple, frozenset)
_ALIKE = (ObjectId, clock.now)  # nobody can change in place what they make


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
    code: bool = False
    pre_processed: bool = False
    description: str | None = None
    read_only: bool = False
    omits_empty: bool = False
    formerly: tuple[str, ...] = ()
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

    @property
    def is_usable(self) -> bool:
        """Whether its type can be resolved; a class with one that cannot be is refused."""
        try:
            return self.codec is not None
        except TypeError:
            return False

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether all instances can share the default: it can neither change nor be converted."""
        shared = self.factory is None and isinstance(self.default, IMMUTABLE)
        return shared and (self.default is None or self.codec.convert is None)

    @property
    def makes_alike(self) -> bool:
        """Whether all that its factory makes is of one kind: if one is valid, so are the others."""
        return any(self.factory is each for each in _ALIKE)

    @functools.cached_property
    def is_stored_apart(self) -> bool:
        """Whether `store` decides what is stored of a value, not its codec alone."""
        return self.encrypted or self.omits_empty

    @functools.cached_property
    def leaves_none_out(self) -> bool:
        """Whether None is not stored: where loading gives None again, and not the default."""
        return (self.default is None or self.default is MISSING) and self.factory is None

    def store(self, value: Any, document: Any) -> Any:
        """Return a value as it is stored in a document, or in any of a class.

        MISSING if the field is left out.
        """
        if value is None:
            return MISSING if self.leaves_none_out else None
        if self.omits_empty and not value:
            return MISSING
        if self.encrypted:
            return value.data if isinstance(value, Sealed) else encrypt(self, value, document)
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
            messages = error.faults if isinstance(error, Misfit) else self.codec.faults(stored)
            messages = self.unless_secret(messages or [str(error)])
            raise ValidationError({self.name: messages}, self.owner.__name__) from None

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
    code: bool = ...,
    pre_processed: bool = ...,
    description: str | None = ...,
    formerly: str | Sequence[str] = ...,
) -> T: ...
@overload
def field(
    *,
    factory: Callable[[], T] | Callable[[Any], T],
    validator: Callable[..., None] | None = ...,
    user_editable: bool = ...,
    copy_on_restart: bool = ...,
    encrypted: bool = ...,
    code: bool = ...,
    pre_processed: bool = ...,
    description: str | None = ...,
    formerly: str | Sequence[str] = ...,
) -> T: ...
@overload
def field(
    *,
    validator: Callable[..., None] | None = ...,
    user_editable: bool = ...,
    copy_on_restart: bool = ...,
    encrypted: bool = ...,
    code: bool = ...,
    pre_processed: bool = ...,
    description: str | None = ...,
    formerly: str | Sequence[str] = ...,
) -> Any: ...
def field(
    *,
    default: Any = MISSING,
    factory: Callable[..., Any] | None = None,
    validator: Callable[..., None] | None = None,
    user_editable: bool = False,
    copy_on_restart: bool = False,
    encrypted: bool = False,
    code: bool = False,
    pre_processed: bool = False,
    description: str | None = None,
    formerly: str | Sequence[str] = (),
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
        code: whether the value is run as code: pages then let only those change it who may run
            code, and no directory entry or upload job may set it.
        pre_processed: run a factory that takes the job before the other fields are set.
        description: shown in help and forms.
        formerly: the name that the field had before, or several, the newest first: what is stored
            under it is read as the value of this field.

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
        code=code,
        pre_processed=pre_processed,
        description=description,
        formerly=_names(formerly),
    )


def _names(formerly: str | Sequence[str]) -> tuple[str, ...]:
    names = (formerly,) if isinstance(formerly, str) else tuple(formerly)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"field(formerly=...) must be the old name of the field, not {name!r}")
    return names


def read_only_field(
    *,
    default: Any = None,
    factory: Callable[[], Any] | None = None,
    init: Literal[False] = False,
) -> Any:
    """Describe a field that only the system sets: it is not an argument of the constructor.

    `init` tells type checkers so.
    """
    description = field(default=default) if factory is None else field(factory=factory)
    description.read_only = True
    return description


def left_out_if_empty(declared: T) -> T:
    """Have an empty list or dict of a field not stored, as most jobs have nothing there."""
    described: Any = declared
    described.omits_empty = True
    return declared
