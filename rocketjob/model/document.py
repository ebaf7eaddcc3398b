"""A stored document: typed fields, validation, callbacks, dirty saves and queries.

`Document` is the base of `Job`, and of anything else that plugins keep in the store. It knows
nothing of jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

import attrs
from bson import ObjectId

from rocketjob.base.errors import (
    NotFound,
    RocketJobError,
    ValidationError,
)
from rocketjob.base.text import did_you_mean
from rocketjob.model import registry, validation
from rocketjob.model.bulk import create_all, raise_duplicate
from rocketjob.model.callbacks import Callback, Chain, Frame, check_event, own_callbacks
from rocketjob.model.encrypted_fields import Sealed, decrypt
from rocketjob.model.fields import (
    MISSING,
    Field,
    caller_scope,
    gather,
    read_only_field,
    show_default,
)
from rocketjob.model.fields import field as declare_field
from rocketjob.model.generated import refuse_generated
from rocketjob.model.query import Query
from rocketjob.model.record import Changes, Record, is_stored, mutable_fields
from rocketjob.store import Collection, Filter, Insert, Stored, Write, context

PERSISTENCE_EVENTS = frozenset({"initialize", "validation", "save", "create", "destroy"})


@dataclass_transform(
    kw_only_default=True, eq_default=False, field_specifiers=(declare_field, read_only_field)
)
class Document:
    """Base of everything that is stored.

    Annotated attributes of a subclass are its fields. `collection_name` says where its documents
    are; all subclasses share it, and documents come back as instances of their own class.
    """

    collection_name: ClassVar[str] = ""
    callback_events: ClassVar[frozenset[str]] = PERSISTENCE_EVENTS
    __fields__: ClassVar[dict[str, Field]] = {}
    __own_fields__: ClassVar[dict[str, Field]] = {}
    __overrides__: ClassVar[dict[str, Any]] = {}
    __validations__: ClassVar[tuple[str, ...]] = ()
    __defaults__: ClassVar[tuple[dict[str, Any], list[Field]] | None] = None
    __added_callbacks__: ClassVar[list[Callback]] = []
    __chains__: ClassVar[tuple[int, dict[str, Chain]]] = (0, {})

    if TYPE_CHECKING:
        id: ObjectId
        _record: Record

    # --- making a class ----------------------------------------------------------------------

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_generated(cls, Document)
        cls.__added_callbacks__ = []
        cls.__fields__ = gather(cls, caller_scope(cls))
        attrs.define(
            cls,
            these={f.name: attrs.field(default=None) for f in cls.__fields__.values()},
            init=False,
            repr=False,
            eq=False,
            slots=False,
            on_setattr=attrs.setters.NO_OP,
        )
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
    def known_events(cls) -> frozenset[str]:
        """Return the events that callbacks can name; a mixin adds some with `callback_events`."""
        declared = (base.__dict__.get("callback_events", ()) for base in cls.__mro__)
        return frozenset(name for names in declared for name in names)

    @classmethod
    def fields(cls) -> Mapping[str, Field]:
        """Return what is known of each field, by name, in order of definition."""
        return cls.__fields__

    @classmethod
    def set_default(cls, name: str, default: Any) -> None:
        """Change the default of a field, for this class and those that are made from it later.

        In a class body `name = default` does the same.
        """
        field = attrs.evolve(cls.__fields__[name], default=default, factory=None)
        cls.__fields__ = {**cls.__fields__, name: field}
        cls.__overrides__ = {**cls.__dict__.get("__overrides__", {}), name: default}
        show_default(cls, field)
        cls.__defaults__ = None

    @classmethod
    def add_callbacks(cls, callbacks: Iterable[Callback]) -> None:
        """Add callbacks from outside; `@around("perform", on=Job)` does."""
        for callback in callbacks:
            check_event(cls, callback, cls.known_events())
            cls.__added_callbacks__.append(callback)
        registry.note_change()

    @classmethod
    def chain(cls, event: str) -> Chain:
        """Return the callbacks of an event, worked out once for each class."""
        version, chains = cls.__dict__.get("__chains__", (0, {}))
        if version != registry.classes_made():
            chains = {}
            cls.__chains__ = (registry.classes_made(), chains)
        chain = chains.get(event)
        if chain is None:
            chain = chains[event] = Chain(
                callback for callback in cls._all_callbacks() if callback.event == event
            )
        return chain  # type: ignore[no-any-return]

    @classmethod
    def _all_callbacks(cls) -> Iterable[Callback]:
        for base in reversed(cls.__mro__):
            yield from own_callbacks(base)
            yield from base.__dict__.get("__added_callbacks__", ())

    # --- making an instance ------------------------------------------------------------------

    def __init__(self, **values: Any) -> None:
        record = self.__dict__["_record"] = Record()
        fields = self.__fields__
        for name in values:
            if name not in fields or fields[name].read_only:
                raise TypeError(_unknown_keyword(type(self), name))
        later = self._set_defaults(values)
        for name, value in values.items():
            setattr(self, name, value)
        for field in later:
            setattr(self, field.name, field.factory(self))  # type: ignore[misc]
        record.assigned.clear()
        if chain := self.chain("initialize"):
            Frame(chain, self).leave()

    def _set_defaults(self, given: Mapping[str, Any]) -> list[Field]:
        """Set the defaults of what is not given; return the fields whose factory comes last."""
        own, later = self.__dict__, []
        plain, others = self._defaults()
        own.update(plain)
        for field in others:
            name = field.name
            if name not in given and field.factory_takes_job:
                if field.pre_processed:
                    setattr(self, name, field.factory(self))  # type: ignore[misc]
                    continue
                later.append(field)
            value = field.make_default() if name not in given else None
            convert = field.codec.convert if value is not None else None
            own[name] = convert(value) if convert else value
        return later

    @classmethod
    def _defaults(cls) -> tuple[dict[str, Any], list[Field]]:
        """Return the defaults that all instances share, and the fields that need more."""
        cached: tuple[dict[str, Any], list[Field]] | None = cls.__dict__.get("__defaults__")
        if cached is None:
            plain = {n: field.default for n, field in cls.__fields__.items() if field.is_plain}
            others = [field for field in cls.__fields__.values() if not field.is_plain]
            cached = cls.__defaults__ = (plain, others)
        return cached

    def __setattr__(self, name: str, value: Any) -> None:
        field = self.__fields__.get(name)
        if field is None:
            object.__setattr__(self, name, value)
            return
        convert = field.codec.convert
        self.__dict__[name] = value if convert is None else convert(value)
        self._record.assigned.add(name)

    if not TYPE_CHECKING:  # else every attribute would be known

        def __getattr__(self, name: str) -> Any:
            refuse_generated(type(self), Document)  # whose constructor has not made all of it
            return object.__getattribute__(self, name)  # raises what it raised before

    def __repr__(self) -> str:
        state = f" {self.__dict__['state']}" if "state" in self.__fields__ else ""
        return f"<{type(self).__name__} {self.id}{state}>"

    # --- BSON --------------------------------------------------------------------------------

    @classmethod
    def type_name(cls) -> str:
        """Return the name under which documents of this class are stored."""
        return cls.__name__

    def to_document(self) -> Stored:
        """Return the whole document as it is stored."""
        own = self.__dict__
        stored: Stored = {"_id": self.id, "_type": self.type_name()}
        for name, field in self.__fields__.items():
            value = field.store(own[name])
            if value is not MISSING:
                stored[field.key] = value
        return stored

    @classmethod
    def from_document(cls, stored: Stored, strict: bool = True) -> Self:
        """Make the instance of a stored document, of its own class, without validation.

        Encrypted values are decrypted when they are first asked for.

        Args:
            strict: raise for a value that does not fit its field any more, as needed by those who
                run a job; otherwise it is on the instance as it is stored, and validation says so.

        Raises:
            ValidationError: a value does not fit.
            Exception: what a factory or a callback of `initialize` raised.
        """
        name = stored.get("_type")
        document_class: Any = cls if name == cls.__name__ else cls._class_of(name)
        document: Self = document_class._made_of(stored, strict)
        return document

    @classmethod
    def _made_of(cls, stored: Stored, strict: bool) -> Self:
        document = cls.__new__(cls)
        document.__dict__["_record"] = Record(stored)
        document._load(stored, strict)
        return document

    @classmethod
    def listed(cls, stored: Stored) -> Self:
        """Make the instance of one document among others: it must not keep the others back."""
        try:
            return cls.from_document(stored, strict=False)
        except Exception as error:
            return cls._stand_in(stored, error)

    @classmethod
    def _stand_in(cls, stored: Stored, error: Exception) -> Self:
        """Return what stands in for a document that cannot be loaded, or raise the error."""
        raise error

    @classmethod
    def _class_of(cls, name: Any) -> type[Document]:
        document_class = registry.class_called(str(name)) if name is not None else cls
        if document_class is not None and document_class.collection_name == cls.collection_name:
            return document_class
        return cls._unknown_class(str(name))

    @classmethod
    def _unknown_class(cls, name: str) -> type[Document]:
        """Return what stands in for a class that is not loaded here."""
        return cls

    def _load(self, stored: Stored, strict: bool = True) -> None:
        own = self.__dict__
        for name, field in self.__fields__.items():
            value = stored.get(field.key, MISSING)
            if value is MISSING:
                own[name] = field.make_default()
            elif field.encrypted and isinstance(value, bytes):
                own[name] = Sealed(value)
            else:
                own[name] = value if field.codec.decode is None else field.load(value, strict)
        if chain := self.chain("initialize"):
            Frame(chain, self).leave()

    @property
    def errors(self) -> validation.Errors:
        """What the last validation found wrong, by field."""
        return self._record.errors

    @property
    def is_new(self) -> bool:
        """Whether the document was never stored."""
        return self._record.stored is None

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from what is stored, by name."""
        record = self._record
        stored, mutable = record.stored or {}, mutable_fields(type(self))
        values = {}
        for name, field in self.__fields__.items():
            known = record.stored is not None and name not in record.assigned
            if known and name not in mutable:
                continue
            if not is_stored(field, self.__dict__[name], stored.get(field.key, MISSING)):
                values[name] = self.__dict__[name]
        return values

    # --- validation --------------------------------------------------------------------------

    def validate(self) -> None:
        """Check every field and run every validation.

        Raises:
            ValidationError: with all messages; they are in `self.errors` too.
        """
        self.chain("validation").run(self, self._collect_errors)
        if self.errors:
            raise ValidationError(self.errors, type(self).__name__, self.errors.conflict)

    def is_valid(self) -> bool:
        """Return whether the document is valid; the messages are in `errors`."""
        try:
            self.validate()
        except ValidationError:
            return False
        return True

    def _collect_errors(self) -> None:
        self.errors.clear()
        validation.check_fields(self, self.__fields__.values(), self.errors)
        for name in self.__validations__:
            getattr(self, name)()

    # --- persistence -------------------------------------------------------------------------

    @classmethod
    def collection(cls) -> Collection:
        """Return the store's collection of this class."""
        return context.current().store.collection(cls.collection_name)

    def save(self, *, validate: bool = True) -> Self:
        """Store the document: all of it when it is new, else only what changed.

        Raises:
            ValidationError: nothing was stored.
            NotFound: it has been deleted.
        """
        if validate:
            self.validate()
        if self.is_new:
            self.chain("save").run(self, lambda: self.chain("create").run(self, self._insert))
        else:
            self.chain("save").run(self, self._update)
        return self

    def update(self, *, validate: bool = True, **values: Any) -> Self:
        """Assign fields and save.

        Raises:
            TypeError: an unknown field.
            ValidationError: nothing was stored; the values stay on the object.
        """
        for name in values:
            if name not in self.__fields__ or self.__fields__[name].read_only:
                raise TypeError(_unknown_keyword(type(self), name))
        for name, value in values.items():
            setattr(self, name, value)
        return self.save(validate=validate)

    def _insert(self) -> None:
        stored = self.to_document()
        try:
            self.collection().insert_one(stored)
        except Exception as error:
            raise_duplicate(self, error)
            raise
        self._record.was_stored(stored)

    def as_insert(self, stored: Stored, *, optional: bool = False) -> Insert:
        """Return the insert of this document for a unit of work, as `to_document` gave it."""
        return Insert(self.collection_name, stored, optional, hidden=self._hidden_by())

    def _hidden_by(self) -> Mapping[str, Any]:
        """Return the fields that keep others from using it before its unit is complete."""
        return {}

    def _update(self) -> None:
        changed, removed = self._record.changes(self)
        if not changed and not removed:
            return
        write = self.save_write((changed, removed))
        try:
            result = self.collection().update_one(write.filter, write.update or {})
        except Exception as error:
            raise_duplicate(self, error)
            raise
        if not result.matched_count:
            raise self.write_lost()
        self._record.written(changed, removed)

    def save_write(self, changes: Changes) -> Write:
        """Return the guarded write that saves these changes."""
        return Write(self._condition(changes[0]), self._update_document(*changes))

    def _update_document(
        self, changed: Mapping[str, Any], removed: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {key: part for key, part in (("$set", changed), ("$unset", removed)) if part}

    def _condition(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the filter of a save that changes these fields."""
        return self.write_guard()

    def write_guard(self) -> dict[str, Any]:
        """Return the filter under which this object may write."""
        return {"_id": self.id, **self._record.guard()}

    def write_lost(self) -> RocketJobError:
        """Return the error for a write that matched nothing."""
        return NotFound(f"{self!r} is not stored any more: it has been deleted")

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]:
        """Say in messages by field why a unique index refused this document.

        A mixin that maintains a uniquely indexed field overrides it, and calls `super()` where
        the index is not its own.
        """
        return {}

    def delete(self) -> None:
        """Remove the document, without callbacks; nothing happens if it is gone."""
        self.collection().delete_one(self.write_guard())

    def destroy(self) -> None:
        """Remove the document, with its callbacks."""
        self.chain("destroy").run(self, self.delete)

    def reload(self) -> Self:
        """Read the document again; what was not saved is lost.

        Raises:
            NotFound: it is not stored any more.
        """
        stored = self.collection().find_one({"_id": self.id})
        if stored is None:
            gone = "is not stored: save it first" if self.is_new else "is not stored any more"
            raise NotFound(f"{self!r} {gone}")
        load_into(self, stored, strict=False)
        return self

    # --- class-level helpers -----------------------------------------------------------------

    @classmethod
    def create(cls, **values: Any) -> Self:
        """Make and save a document.

        Raises:
            TypeError: an unknown field.
            ValidationError: nothing was stored.
        """
        return cls(**values).save()

    @classmethod
    def create_if_valid(cls, **values: Any) -> Self | None:
        """Make and save a document; return None where it is not valid."""
        try:
            return cls.create(**values)
        except ValidationError:
            return None

    @classmethod
    def create_many(cls, rows: Iterable[Mapping[str, Any] | Self]) -> list[Self]:
        """Make and save many documents in one group: all of them or none.

        Args:
            rows: the fields of each, or instances that were not saved.

        Raises:
            ValidationError: names the rows by their number from 0; nothing was stored.
        """
        documents = [row if isinstance(row, Document) else cls(**row) for row in rows]
        create_all(cls, documents)
        return documents

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self:
        """Make a document from texts, as forms, command lines and directory monitors have them.

        Values that `seal_properties` sealed stay so: nothing here has to decrypt them.

        Raises:
            ValidationError: an unknown field, or a text that cannot be parsed; every message.
        """
        errors, values, sealed = validation.Errors(), {}, {}
        for name, text in properties.items():
            field = cls.__fields__.get(name)
            if field is None or field.read_only:
                errors.add(name, _unknown_property(cls, name))
                continue
            if isinstance(text, Sealed) and field.encrypted:
                sealed[name] = text
                continue
            try:
                plain = decrypt(field, text.data) if isinstance(text, Sealed) else text
                values[name] = field.codec.from_text(plain)
            except ValueError as error:
                for message in field.unless_secret([str(error)]):
                    errors.add(name, message)
        if errors:
            raise ValidationError(errors, cls.__name__)
        document = cls(**values)
        document.__dict__.update(sealed)
        document._record.assigned.update(sealed)
        return document

    @classmethod
    def seal_properties(cls, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `from_properties` takes, to be stored until a document is made from it.

        The values of encrypted fields are encrypted as those fields would be.

        Raises:
            ValidationError: one of them cannot be parsed.
            ConfigurationError: there is no key.
        """
        secret = [field for field in cls.__fields__.values() if field.encrypted]
        given = {field.name: properties[field.name] for field in secret if field.name in properties}
        if not given:
            return dict(properties)
        document, values = cls.from_properties(given), dict(properties)
        for name in given:
            value = cls.__fields__[name].store(document.__dict__[name])
            if isinstance(value, bytes):  # not None, which tells nothing
                values[name] = Sealed(value)
        return values

    @classmethod
    def where(cls, filter: Filter | None = None, /, **values: Any) -> Query[Self]:
        """Select documents, by a Mongo filter, by values of fields, or both."""
        return cls._query().where(filter, **values)

    @classmethod
    def _query(cls) -> Query[Self]:
        return Query(cls)

    @classmethod
    def all(cls) -> Query[Self]:
        """Select every document of this class and of those below it."""
        return cls._query()

    @classmethod
    def find(cls, id: ObjectId | str) -> Self:
        """Return the document with this id.

        Raises:
            NotFound: there is none of this class.
            Exception: its class raised when it was given what is stored.
        """
        stored = cls.collection().find_one({"_id": as_object_id(id)})
        document = cls.from_document(stored, strict=False) if stored is not None else None
        if not isinstance(document, cls):
            raise NotFound(f"There is no {cls.__name__} with the id {id}")
        return document

    @classmethod
    def first(cls) -> Self | None:
        """Return the document with the lowest id, or None."""
        return cls._query().first()

    @classmethod
    def last(cls) -> Self | None:
        """Return the document with the highest id, or None."""
        return cls._query().last()

    @classmethod
    def count(cls) -> int:
        """Count the documents of this class and of those below it."""
        return cls._query().count()

    @classmethod
    def delete_all(cls) -> int:
        """Remove all documents of this class, without callbacks; return how many."""
        return cls._query().delete_all()

    @classmethod
    def destroy_all(cls) -> int:
        """Remove all documents of this class, with their callbacks; return how many."""
        return cls._query().destroy_all()


def _declare_base() -> None:
    """Give `Document` itself its one field: `__init_subclass__` runs for subclasses only."""
    field: Any = declare_field(factory=ObjectId)
    field.name, field.annotation, field.owner = "id", ObjectId, Document
    Document.__own_fields__ = {"id": field}
    Document.__fields__ = {"id": field}


_declare_base()


def refuse_broken_classes(package: str) -> None:
    """Refuse a package's classes that can have no instance, before the first one is asked for.

    Only now can all names be resolved, since an annotation may name what is defined below it.

    Raises:
        TypeError: names the class, the field and the cure.
    """
    for cls in registry.loaded_classes(Document):
        if cls.__module__.partition(".")[0] != package or "<locals>" in cls.__qualname__:
            continue
        refuse_generated(cls, Document)
        for field in cls.__fields__.values():
            _ = field.codec


def load_into(document: Document, stored: Stored, strict: bool = True) -> None:
    """Give a document the values of a stored one; a claim and a change under way stay."""
    document._record.loaded(stored)
    document._load(stored, strict)


def as_object_id(value: Any) -> Any:
    """Return an id from its text; anything else as it is."""
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    return value


def _unknown_keyword(cls: type[Document], name: str) -> str:
    if name in cls.__fields__:
        return f"{cls.__name__}.{name} is set by the system and cannot be given"
    return f"{cls.__name__} has no field {name}; {_known_fields(cls, name)}"


def _unknown_property(cls: type[Document], name: str) -> str:
    """Say it as a message of a field, in front of which its name and the class are shown."""
    if name in cls.__fields__:
        return "is set by the system and cannot be given"
    return f"there is no such field; {_known_fields(cls, name)}"


def _known_fields(cls: type[Document], name: str) -> str:
    settable = [n for n, field in cls.__fields__.items() if not field.read_only]
    return did_you_mean(name, settable, f"it has {', '.join(sorted(settable))}")
