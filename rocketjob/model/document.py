"""A stored document: typed fields, validation, callbacks, dirty saves and queries.

`Document` is the base of `Job`, and of anything else that plugins keep in the store. It knows
nothing of jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, dataclass_transform

from bson import ObjectId

from rocketjob.base import acts
from rocketjob.base.errors import NotFound, RocketJobError, ValidationError
from rocketjob.base.functions import refuse_pending
from rocketjob.model import deeds, registry, sent, validation
from rocketjob.model.awaitable import Awaitable
from rocketjob.model.bulk import create_all, raise_refusal
from rocketjob.model.callbacks import Frame
from rocketjob.model.document_class import DocumentClass
from rocketjob.model.encrypted_fields import Sealed
from rocketjob.model.fields import MISSING, Field, read_only_field
from rocketjob.model.fields import field as declare_field
from rocketjob.model.generated import refuse_generated
from rocketjob.model.properties import from_texts, refuse_unknown, sealed_texts
from rocketjob.model.record import Changes, Record, is_stored
from rocketjob.store import Committed, Insert, Stored, Unit, Write, context, insistently
from rocketjob.store.unit import update_back

P = ParamSpec("P")
D = TypeVar("D")


class _NoRecord:
    """Stands on the class for the record of an instance whose constructor has not made one."""

    def __get__(self, document: Any, owner: type) -> Any:
        refuse_generated(owner, DocumentClass)
        raise AttributeError(f"{owner.__name__}.__init__ must call super().__init__() first")


@dataclass_transform(
    kw_only_default=True, eq_default=False, field_specifiers=(declare_field, read_only_field)
)
class Document(Awaitable):
    """Base of everything that is stored.

    Annotated attributes of a subclass are its fields. `collection_name` says where its documents
    are; all subclasses share it, and documents come back as instances of their own class.
    """

    id: ObjectId = declare_field(factory=ObjectId)

    if TYPE_CHECKING:
        _record: Record
    else:
        _record = _NoRecord()

    # --- making an instance ------------------------------------------------------------------

    def __init__(self, **values: Any) -> None:
        record = self.__dict__["_record"] = Record()
        if values:
            refuse_unknown(type(self), values)
        later = self._set_defaults(values)
        for name, value in values.items():
            setattr(self, name, value)
        for field in later:
            setattr(self, field.name, field.factory(self))  # type: ignore[misc]
        record.assigned.clear()
        record.given = frozenset(values)
        if chain := self.chain("initialize"):
            Frame(chain, self).leave()

    def _set_defaults(self, given: Mapping[str, Any]) -> list[Field]:
        """Set the defaults of what is not given; return the fields whose factory comes last."""
        own, later, layout = self.__dict__, [], self.__layout__
        own.update(layout.plain_defaults)
        for name, make, convert, for_job in layout.makers:
            if name in given:
                own[name] = None
            elif for_job is None:
                value = make()
                own[name] = value if value is None or convert is None else convert(value)
            elif for_job.pre_processed:
                setattr(self, name, make(self))
            else:
                own[name] = None
                later.append(for_job)
        return later

    def __setattr__(self, name: str, value: Any) -> None:
        setters = self.__layout__.setters
        if name not in setters:
            object.__setattr__(self, name, value)
            return
        convert = setters[name]
        self.__dict__[name] = value if convert is None else convert(value)
        self._record.assigned.add(name)

    def __repr__(self) -> str:
        state = f" {self.__dict__['state']}" if "state" in self.__fields__ else ""
        return f"<{type(self).__name__} {self.id}{state}>"

    # --- BSON --------------------------------------------------------------------------------

    def to_document(self) -> Stored:
        """Return the whole document as it is stored."""
        own, form = self.__dict__, self.__layout__.form_of(self._touched())
        stored = form.common.copy()
        stored["_id"] = own["id"]
        for name, key, leaves_none_out, write in form.writers:
            value = own[name]
            if value is not None:
                stored[key] = value if write is None else write(value)
            elif not leaves_none_out:
                stored[key] = None
            elif key in stored:  # only its place was kept
                del stored[key]
        for field in self.__layout__.stored_apart:
            if (value := field.store(own[field.name], self)) is not MISSING:
                stored[field.key] = value
        return stored

    def _load(self, stored: Stored, strict: bool = True) -> None:
        if (renewer := self.__layout__.renewer) is not None:
            stored = self._record.renewed_by(renewer, stored)
        shape = self.__layout__.shape_of(stored)
        values = {**shape.defaults, **stored}
        for key in shape.others:
            del values[key]
        for key, name in shape.renamed:
            values[name] = stored[key]
        for field in shape.made:
            values[field.name] = field.make_default()
        for key, name, decode, field in shape.read:
            value = stored[key]
            try:
                values[name] = None if value is None else decode(value)
            except Exception:
                values[name] = field.load(value, strict)  # which says what is wrong with it
        for key, field in shape.encrypted:
            value = stored[key]
            is_sealed = isinstance(value, bytes)
            values[field.name] = Sealed(value) if is_sealed else field.load(value, strict)
        for name, value in self.__dict__.items():
            values.setdefault(name, value)  # its record, and what is no field
        object.__setattr__(self, "__dict__", values)  # in one go: others may be looking at it
        if chain := self.chain("initialize"):
            Frame(chain, self).leave()

    def is_renewable(self) -> bool:
        """Return whether what is stored of it may be brought to what its class stores now."""
        return True

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
        stored, mutable = record.stored or {}, self.__layout__.mutable
        values = {}
        for name, field in self.__fields__.items():
            known = record.stored is not None and name not in record.assigned
            if known and name not in mutable:
                continue
            if not is_stored(field, self.__dict__[name], stored.get(field.key, MISSING), self):
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
        errors = self.errors
        errors.clear()
        validation.run_checks(self, self._checks(), errors)
        for name in self.__validations__:
            refuse_pending(getattr(self, name)(), f"the validation {name}")

    def _checks(self) -> list[validation.Check]:
        """Return what the values are checked for; of a new document's not those never touched."""
        touched = self._touched()
        return self.__layout__.checks if touched is None else self.__layout__.checks_of_new(touched)

    def _touched(self) -> frozenset[str] | None:
        """Return the fields of a new document that may hold something else than their default."""
        record = self._record
        if record.given is None or record.stored is not None:
            return None
        return record.given.union(record.assigned) if record.assigned else record.given

    # --- persistence -------------------------------------------------------------------------

    def save(self, *, validate: bool = True) -> Self:
        """Store the document: all of it when it is new, else only what changed.

        Raises:
            ValidationError: nothing was stored.
            NotFound: it has been deleted.
        """
        if self.is_new:
            self.before_created()
        if validate:
            self.validate()
        if self.is_new:
            self.chain("save").run(self, lambda: self.chain("create").run(self, self._insert))
            self.after_created()
        else:
            self.chain("save").run(self, self._update)
        return self

    def before_created(self) -> None:
        """Get ready to be stored for the first time; whoever stores documents calls it first.

        Raises:
            ValidationError: it is not to be stored.
        """

    def after_created(self) -> None:
        """Note that it was stored for the first time; whoever stores documents calls it last."""

    def after_removed(self) -> None:
        """Note that it was removed from the store, by this object."""

    def update(self, *, validate: bool = True, **values: Any) -> Self:
        """Assign fields and save.

        Raises:
            TypeError: an unknown field.
            ValidationError: nothing was stored; the values stay on the object.
        """
        refuse_unknown(type(self), values)
        for name, value in values.items():
            setattr(self, name, value)
        return self.save(validate=validate)

    def _insert(self) -> None:
        if self._record.sent is not None and not sent.still_to_insert(type(self), [self]):
            return
        stored = self.to_document()
        beside = deeds.beside(self, "create", {}, stored) if acts.begun else ()
        try:
            if beside:
                inserts = [self.as_insert(stored), *beside]
                commit(Unit.of(self.collection_name, None, inserts))
            else:
                insistently(lambda: self.collection().insert_one(stored))
        except Exception as error:
            sent.note([self], [stored], error)
            raise_refusal(self, error)
            raise
        self._record.was_stored(stored)

    def as_insert(self, stored: Stored, *, optional: bool = False) -> Insert:
        """Return the insert of this document for a unit of work, as `to_document` gave it."""
        return Insert(self.collection_name, stored, optional, hidden=self._hidden_by())

    def _hidden_by(self) -> Mapping[str, Any]:
        """Return the fields that keep others from using it before its unit is complete."""
        return {}

    @classmethod
    def _inserted_among(cls, ids: Sequence[Any]) -> frozenset[Any]:
        """Return which of these new ids the store has got, as far as is known."""
        found = cls.collection().find({"_id": {"$in": list(ids)}}, {"_id": 1})
        return frozenset(stored["_id"] for stored in found)

    def _update(self) -> None:
        changed, removed = self._record.changes(self)
        if not changed and not removed:
            return
        write = self.save_write((changed, removed))
        keys = (*changed, *removed)
        beside = deeds.of_save(self, keys, changed) if acts.begun else ()
        try:
            if beside:
                undo = update_back(self._record.stored or {}, keys)
                matched = commit(Unit.of(self.collection_name, write, beside, undo=undo)).held
            else:
                result = self.collection().update_one(write.filter, write.update or {})
                matched = bool(result.matched_count)
        except Exception as error:
            raise_refusal(self, error)
            raise
        if not matched:
            raise self.write_lost()
        self._record.written(changed, removed)

    def save_write(self, changes: Changes) -> Write:
        """Return the guarded write that saves these changes."""
        unless = self._record.unless_renewed(self)
        return Write({**unless, **self._condition(changes[0])}, self._update_document(*changes))

    def _update_document(
        self, changed: Mapping[str, Any], removed: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {key: part for key, part in (("$set", changed), ("$unset", removed)) if part}

    def _condition(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the filter of a save that changes these fields."""
        return self.write_guard()

    def write_guard(self) -> dict[str, Any]:
        """Return the filter under which this object may write: its id, and its claim if any."""
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
        guard = self.write_guard()
        stored = self._record.stored or {}
        beside = deeds.beside(self, "destroy", stored, {}) if acts.begun else ()
        if beside:
            deleted = commit(Unit.of(self.collection_name, Write(guard, None), beside)).held
        else:
            store = context.current().store  # which sees to what is noted in the document
            deleted = store.write_many(self.collection_name, [Write(guard, None)])[0]
        if deleted:
            self.after_removed()
        elif getattr(self._record.claim, "must_hold", False):
            raise self.write_lost()

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
    def create(cls: Callable[P, D], *args: P.args, **values: P.kwargs) -> D:
        """Make and save a document.

        Raises:
            TypeError: an unknown field.
            ValidationError: nothing was stored.
        """
        document: Any = cls(*args, **values)
        return document.save()  # type: ignore[no-any-return]

    @classmethod
    def create_if_valid(cls: Callable[P, D], *args: P.args, **values: P.kwargs) -> D | None:
        """Make and save a document; return None where it is not valid."""
        document_class: Any = cls
        try:
            return document_class.create(*args, **values)  # type: ignore[no-any-return]
        except ValidationError:
            return None

    @classmethod
    def create_many(cls, rows: Iterable[Mapping[str, Any] | Self]) -> list[Self]:
        """Make and save many documents in one group: all of them or none.

        On MongoDB without transactions a process that dies on the way leaves the first ones stored.

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
        return from_texts(cls, properties)

    @classmethod
    def seal_properties(cls, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `from_properties` takes, to be stored until a document is made from it.

        The values of encrypted fields are encrypted as those fields would be.

        Raises:
            ValidationError: one of them cannot be parsed.
            ConfigurationError: there is no key.
        """
        return sealed_texts(cls, properties)


def refuse_broken_classes(package: str) -> None:
    """Refuse a package's classes that can have no instance, before the first one is asked for.

    Only now can all names be resolved, since an annotation may name what is defined below it.

    Raises:
        TypeError: names the class, the field and the cure.
    """
    for cls in registry.loaded_classes(Document):
        if cls.__module__.partition(".")[0] != package or "<locals>" in cls.__qualname__:
            continue
        refuse_generated(cls, DocumentClass)
        for field in cls.__fields__.values():
            _ = field.codec


def commit(unit: Unit) -> Committed:
    """Store one unit, and return what became of it."""
    return context.current().store.commit([unit])[0]


def load_into(document: Document, stored: Stored, strict: bool = True) -> None:
    """Give a document the values of a stored one; a claim and a change under way stay."""
    document._record.loaded(stored)
    document._load(stored, strict)
