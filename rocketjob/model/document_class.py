"""What a class of documents is made of: its fields, its validations and its callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from rocketjob.model import registry, validation
from rocketjob.model.callbacks import Callback, Chain, check_event, own_callbacks
from rocketjob.model.clashes import refuse_clashes, refuse_hiding
from rocketjob.model.fields import Field
from rocketjob.model.gathering import caller_scope, gather, show_default
from rocketjob.model.generated import refuse_generated
from rocketjob.model.layout import Layout
from rocketjob.model.renewal import check_class

PERSISTENCE_EVENTS = frozenset({"initialize", "validation", "save", "create", "destroy"})


class _Shown:
    """Lets `attrs.fields` know a class's fields: what validators get is from there.

    They are worked out when they are first asked for, since most classes of a process never are.
    """

    def __get__(self, document: object, cls: type[DocumentClass]) -> Any:
        these = {name: attrs.field(default=None) for name in cls.__fields__}
        made: Any = attrs.make_class(cls.__name__, these, init=False, repr=False, eq=False)
        cls.__attrs_attrs__ = made.__attrs_attrs__
        return made.__attrs_attrs__


_SHOWN = _Shown()


class DocumentClass:
    """What `Document` and the classes below it know of themselves."""

    collection_name: ClassVar[str] = ""
    formerly: ClassVar[Sequence[str]] = ()
    """The names that the class had before, the oldest last: what is stored under them is its."""
    callback_events: ClassVar[frozenset[str]] = PERSISTENCE_EVENTS
    schema_version: ClassVar[int] = 1
    """Raised when the class reads its stored documents in another way: see `upcast`."""
    __abstract__: ClassVar[bool] = True
    __formerly__: ClassVar[tuple[str, ...]] = ()
    __fields__: ClassVar[dict[str, Field]] = {}
    __own_fields__: ClassVar[dict[str, Field]] = {}
    __overrides__: ClassVar[dict[str, Any]] = {}
    __validations__: ClassVar[tuple[str, ...]] = ()
    __layout__: ClassVar[Layout]
    __added_callbacks__: ClassVar[list[Callback]] = []
    __chains__: ClassVar[dict[str, Chain]] = {}
    __code_of__: ClassVar[dict[str, bool]] = {}
    __attrs_attrs__: ClassVar[Any]

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_generated(cls, DocumentClass)
        refuse_hiding(cls)
        refuse_clashes(cls)
        cls.__added_callbacks__, cls.__abstract__ = [], abstract
        cls.__chains__, cls.__code_of__ = {}, {}
        cls._set_fields(gather(cls, caller_scope(cls)))
        cls.__formerly__ = registry.old_names(cls)
        check_class(cls)
        if abstract and cls.__formerly__:
            raise TypeError(
                f"{cls.__qualname__} is abstract: no document has its name, or an old one"
            )
        cls.__attrs_attrs__ = _SHOWN
        cls.__validations__ = tuple(
            dict.fromkeys(
                name for base in reversed(cls.__mro__) for name in validation.own_validations(base)
            )
        )
        registry.note_change()
        if cls.collection_name:  # else a mixin, which stands for itself only where it is mixed in
            for callback in cls._all_callbacks():
                check_event(cls, callback, cls.known_events())
            if not abstract:
                registry.register(cls)

    @classmethod
    def _set_fields(cls, fields: dict[str, Field]) -> None:
        cls.__fields__, cls.__layout__ = fields, Layout(cls, fields)

    @classmethod
    def upcast(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document of an earlier `schema_version` as the class stores it now.

        It is called before the document is loaded, with a copy of what is stored: names and values
        in BSON, and the version in `_version`. What it changes is stored with the next save.
        """
        return document

    @classmethod
    def fields(cls) -> Mapping[str, Field]:
        """Return what is known of each field, by name, in order of definition."""
        return cls.__fields__

    @classmethod
    def under_present_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of fields with those that were renamed under the names of now.

        Where a value is given under both, the one under the present name counts.
        """
        present = cls.__layout__.present_names
        renamed = {present[name]: value for name, value in values.items() if name in present}
        return renamed | {name: value for name, value in values.items() if name not in present}

    @classmethod
    def set_default(cls, name: str, default: Any) -> None:
        """Change the default of a field, for this class and those that are made from it later.

        In a class body `name = default` does the same.
        """
        field = attrs.evolve(cls.__fields__[name], default=default, factory=None)
        cls._set_fields({**cls.__fields__, name: field})
        cls.__overrides__ = {**cls.__dict__.get("__overrides__", {}), name: default}
        show_default(cls, field)

    # --- callbacks ---------------------------------------------------------------------------

    @classmethod
    def known_events(cls) -> frozenset[str]:
        """Return the events that callbacks can name; a mixin adds some with `callback_events`."""
        declared = (base.__dict__.get("callback_events", ()) for base in cls.__mro__)
        return frozenset(name for names in declared for name in names)

    @classmethod
    def add_callbacks(cls, callbacks: Iterable[Callback]) -> None:
        """Add callbacks from outside; `@around("perform", on=Job)` does."""
        for callback in callbacks:
            check_event(cls, callback, cls.known_events())
            cls.__added_callbacks__.append(callback)
        registry.note_change()
        forget_chains(cls)

    @classmethod
    def chain(cls, event: str) -> Chain:
        """Return the callbacks of an event, worked out once for each class."""
        chains = cls.__chains__
        try:
            return chains[event]
        except KeyError:
            chain = Chain(callback for callback in cls._all_callbacks() if callback.event == event)
            chains[event] = chain
            return chain

    @classmethod
    def runs_code(cls, event: str) -> bool:
        """Return whether code of the class runs before a change by an event is written."""
        known = cls.__code_of__  # read once: it is replaced when a callback is added
        try:
            return known[event]
        except KeyError:
            chains = (cls.chain(each) for each in (event, "save", "validation", "create"))
            known[event] = bool(cls.__validations__) or any(chains)
            return known[event]

    @classmethod
    def _all_callbacks(cls) -> Iterable[Callback]:
        for base in reversed(cls.__mro__):
            yield from own_callbacks(base)
            yield from base.__dict__.get("__added_callbacks__", ())


def forget_chains(cls: type[DocumentClass]) -> None:
    """Have the callbacks of a class, and of those made from it, worked out again."""
    cls.__chains__, cls.__code_of__ = {}, {}  # another thread may be about to add to the old ones
    for child in cls.__subclasses__():
        forget_chains(child)
