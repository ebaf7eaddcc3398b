"""Lazy queries: `Job.where(...)` selects, and nothing is read before it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Protocol, Self, TypeVar

import attrs

from rocketjob.base.text import hinted
from rocketjob.model.awaitable_query import AwaitableQuery
from rocketjob.model.encrypted_fields import decrypt
from rocketjob.model.fields import MISSING, Field
from rocketjob.model.registry import classes_made, loaded_classes
from rocketjob.model.renaming import Renames, by_any_name, renames_of
from rocketjob.model.types import Codec, encode_any
from rocketjob.model.validation import Errors, check_fields
from rocketjob.store import Collection, Filter, Sort, Stored, context


class Model(Protocol):
    """What a query asks of a class of documents: see `rocketjob.model.document`."""

    collection_name: ClassVar[str]
    __fields__: ClassVar[dict[str, Field]]

    @classmethod
    def stored_names(cls) -> list[str]: ...

    @classmethod
    def listed(cls, stored: Stored) -> Self: ...

    def destroy(self) -> None: ...


D = TypeVar("D", bound=Model)


@attrs.frozen(eq=False)
class Query(AwaitableQuery[D]):
    """A selection of documents of one class and those below it.

    Each method returns a new query or an answer; a query can be kept and used again.
    """

    model: type[D]
    filters: tuple[Filter, ...] = ()
    sorting: tuple[tuple[str, int], ...] = ()
    maximum: int = 0
    skipped: int = 0

    # --- building ----------------------------------------------------------------------------

    def where(self, filter: Filter | None = None, /, **values: Any) -> Self:
        """Narrow the selection, by a Mongo filter, by values of fields, or both.

        A text is parsed by the type of the field that it is compared with, as
        `{"created_at": {"$gte": "2026-01-31T08:00:00Z"}}`.

        Raises:
            TypeError: an unknown field, or one that is stored encrypted.
            ValueError: a text that cannot be a value of the field.
        """
        added = [] if not filter else [self._encode_filter(filter)]
        if values:
            added.append(self._encode_values(values))
        return attrs.evolve(self, filters=(*self.filters, *added))

    def order_by(self, *names: str) -> Self:
        """Sort by fields; a name with `-` in front of it sorts downwards."""
        keys = tuple(
            (self._key(name.lstrip("-+")), -1 if name.startswith("-") else 1) for name in names
        )
        return attrs.evolve(self, sorting=keys)

    def limit(self, count: int) -> Self:
        """Take at most this many; 0 for all."""
        if count < 0:
            raise ValueError(f"limit must be 0 or more, not {count}")
        return attrs.evolve(self, maximum=count)

    def skip(self, count: int) -> Self:
        """Skip this many."""
        if count < 0:
            raise ValueError(f"skip must be 0 or more, not {count}")
        return attrs.evolve(self, skipped=count)

    # --- answers -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[D]:
        for stored in self._find():
            yield self.model.listed(stored)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return self.exists()

    def first(self) -> D | None:
        """Return the first document, by id if no order was asked for, or None."""
        return next(iter(self._ordered(1).limit(1)), None)

    def last(self) -> D | None:
        """Return the last document, by id if no order was asked for, or None."""
        return next(iter(self._ordered(-1).limit(1)), None)

    def count(self, at_most: int | None = None) -> int:
        """Count the documents.

        Args:
            at_most: stop there: what counts millions of documents to say "10,000 or more" is slow.

        Raises:
            ValueError: `at_most` is less than 1.
        """
        if at_most is not None and at_most < 1:
            raise ValueError(f"at_most must be 1 or more, not {at_most}")
        bounds = [bound for bound in (at_most, self.maximum) if bound]
        limit = {"limit": min(bounds) + self.skipped} if bounds else {}
        return max(0, self._collection().count_documents(self.filter(), **limit) - self.skipped)

    def exists(self) -> bool:
        """Return whether there is one."""
        return next(iter(self.limit(1)._find({"_id": 1})), None) is not None

    def pluck(self, *names: str) -> list[Any]:
        """Return values of fields without making documents: one each, or tuples of several."""
        keys = [self._key(name) for name in names]
        renames = self._renames()
        wanted = dict.fromkeys((*keys, *renames.earlier(keys), "_id"), 1)
        rows = [
            tuple(self._plucked(n, _dig(stored, k)) for n, k in zip(names, keys, strict=True))
            for stored in map(renames.under_present_keys, self._find(wanted))
        ]
        return [row[0] for row in rows] if len(names) == 1 else rows

    def update_all(self, **values: Any) -> int:
        """Set fields on every document at once, without callbacks; return how many.

        Raises:
            TypeError: an unknown field, or one that only the system sets.
            ValueError: a value of the wrong type.
        """
        self._refuse_window("update_all")
        changed, removed = {}, {}
        for name, value in values.items():
            key, field = self._key(name), self._field(name)
            if field is None or field.read_only or key == "_id":
                raise TypeError(f"update_all cannot set {name}: the system does")
            value = self._checked(field, value)
            removed.update(dict.fromkeys(self._renames().only_earlier(field.key), ""))
            stored = field.store(value, self.model)
            if stored is MISSING:
                removed[field.key] = ""
            else:
                changed[field.key] = stored
        update = {k: v for k, v in (("$set", changed), ("$unset", removed)) if v}
        if not update:
            return 0
        return self._collection().update_many(self.filter(), update).matched_count

    def delete_all(self) -> int:
        """Remove every document, without callbacks; return how many."""
        self._refuse_window("delete_all")
        return self._collection().delete_many(self.filter()).deleted_count

    def destroy_all(self) -> int:
        """Remove every document, with its callbacks; return how many."""
        destroyed = 0
        for document in self:
            document.destroy()
            destroyed += 1
        return destroyed

    def filter(self) -> dict[str, Any]:
        """Return the whole Mongo filter."""
        clauses = [*self._type_filter(), *self.filters]
        if not clauses:
            return {}
        return dict(clauses[0]) if len(clauses) == 1 else {"$and": [dict(c) for c in clauses]}

    # --- how ---------------------------------------------------------------------------------

    def _type_filter(self) -> list[Filter]:
        names = type_names(self.model)
        return [] if names is None else [{"_type": {"$in": names}}]

    def _collection(self) -> Collection:
        return context.current().store.collection(self.model.collection_name)

    def _find(self, projection: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        sorting: Sort | None = list(self.sorting) or None
        documents: Iterator[dict[str, Any]] = self._collection().find(
            self.filter(), projection, sort=sorting, skip=self.skipped, limit=self.maximum
        )
        return documents

    def _ordered(self, direction: int) -> Self:
        keys = self.sorting or (("_id", 1),)
        return attrs.evolve(self, sorting=tuple((key, way * direction) for key, way in keys))

    def _checked(self, field: Field, value: Any) -> Any:
        """Return a value as the field has it, or raise ValueError with all that is wrong."""
        stand_in = self.model.__new__(self.model)
        stand_in.__dict__[field.name] = field.codec.convert(value) if field.codec.convert else value
        errors = Errors()
        check_fields(stand_in, [field], errors)
        for name, messages in errors.items():
            raise ValueError(f"{name}: {'; '.join(messages)}")
        return stand_in.__dict__[field.name]

    def _refuse_window(self, what: str) -> None:
        if self.maximum or self.skipped:
            raise TypeError(f"{what} works on the whole selection: it takes no limit and no skip")

    def _field(self, name: str) -> Field | None:
        """Return a field of the class, or of a class below it, which documents here may have."""
        head = name.partition(".")[0]
        field = self.model.__fields__.get("id" if head == "_id" else head)
        if field is not None:
            return field
        for cls in loaded_classes(self.model):
            if head in cls.__fields__ and cls.__fields__[head].is_usable:
                return cls.__fields__[head]
        return None

    def _key(self, name: str) -> str:
        if name in ("_id", "_type"):
            return name
        name = name.replace("__", ".")
        field = self._field(name)
        if field is None and (present := self._renames().present(name)) != name:
            raise TypeError(f"{self.model.__name__}.{name} is called {present} now")
        if field is None:
            known = {n for cls in loaded_classes(self.model) for n in cls.__fields__}
            raise TypeError(hinted(f"{self.model.__name__} has no field {name}", name, known))
        return field.key if name == field.name else name

    def _encode_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._renames().widened(
            {
                self._key(name): by_any_name(value)
                if name == "_type"
                else self._encode_value(name, value)
                for name, value in values.items()
            }
        )

    def _renames(self) -> Renames:
        return renames_of(self.model)

    def _encode_value(self, name: str, value: Any) -> Any:
        field = self._field(name)
        if value is None or field is None or self._is_ambiguous(field):
            return encode_loose(value)
        if field.encrypted:
            raise TypeError(f"{field.name} is stored encrypted: it cannot be searched for a value")
        if name not in (field.name, field.key):  # a part of it
            return encode_loose(value)
        try:
            return encode_sought(field.codec, value)
        except ValueError as error:
            raise ValueError(f"{field.name} {error}") from None

    def _is_ambiguous(self, field: Field) -> bool:
        """Return whether classes below this one have fields of the same name and other types."""
        if field.name in self.model.__fields__:
            return False
        known = (cls.__fields__.get(field.name, field) for cls in loaded_classes(self.model))
        known = (each for each in known if each.is_usable)
        return any((f.codec, f.encrypted) != (field.codec, field.encrypted) for f in known)

    def _plucked(self, name: str, value: Any) -> Any:
        field = self._field(name)
        if value is MISSING:
            return field.make_default() if field is not None and field.name == name else None
        if value is None or field is None or "." in name:
            return value
        return (
            decrypt(field, value, self.model)
            if field.encrypted
            else field.load(value, strict=False)
        )

    def _encode_filter(self, filter: Filter) -> dict[str, Any]:
        encoded: dict[str, Any] = {}
        for key, value in filter.items():
            if key in ("$and", "$or", "$nor"):
                encoded[key] = [self._encode_filter(clause) for clause in _clauses(key, value)]
            elif key.startswith("$"):
                encoded[key] = value  # the store says whether it supports it
            else:
                key = self._renames().present(key)
                encoded[self._filter_key(key)] = self._encode_condition(key, value)
        return self._renames().widened(encoded)

    def _filter_key(self, key: str) -> str:
        return "_id" + key[2:] if key == "id" or key.startswith("id.") else key

    def _encode_condition(self, key: str, value: Any) -> Any:
        if key == "_type":
            return by_any_name(value)
        if isinstance(value, Mapping) and any(str(k).startswith("$") for k in value):
            return {k: self._encode_operand(key, k, v) for k, v in value.items()}
        return self._encode_value(key, value)

    def _encode_operand(self, key: str, operator: str, value: Any) -> Any:
        if operator in ("$in", "$nin", "$all") and not isinstance(value, Mapping | str):
            return [self._encode_value(key, item) for item in value]
        if operator == "$not" and isinstance(value, Mapping):
            return self._encode_condition(key, value)
        if operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"):
            return self._encode_value(key, value)
        return value


def _clauses(key: str, value: Any) -> list[Filter]:
    if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
        raise TypeError(f"{key} must be a list of filters")
    return list(value)


def encode_sought(codec: Codec, value: Any) -> Any:
    """Encode a value that is compared with a field; a text is parsed by the field's type.

    Raises:
        ValueError: it is of no use for that type, so that nothing would ever be found.
    """
    value = codec.convert(value) if codec.convert else value
    for fitting in (codec, codec.item):
        if fitting is not None and fitting.check(value) is None:
            return value if fitting.encode is None else fitting.encode(value)
    sought = codec.item or codec  # of a list it is an item that is looked for
    if isinstance(value, str) and sought.parse is not None:
        value = sought.parse(value)
    elif not isinstance(value, date) or isinstance(value, datetime):
        return encode_loose(value)
    if message := sought.check(value):
        raise ValueError(message)
    return value if value is None or sought.encode is None else sought.encode(value)


def encode_loose(value: Any) -> Any:
    """Encode a value that is compared with a field of unknown type."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "value") and hasattr(type(value), "__members__"):
        return value.value
    if isinstance(value, list | tuple | set):
        return [encode_loose(item) for item in value]
    return encode_any(value)


def type_names(model: type[Model]) -> list[str] | None:
    """Return the stored names of a class and those below it; None for the root of a collection."""
    roots = [base for base in model.__mro__ if base.__dict__.get("collection_name")]
    if not roots or roots[0] is model:
        return None
    version, names = model.__dict__.get("__type_names__", (0, []))
    if version != classes_made():
        names = [name for cls in loaded_classes(model) for name in cls.stored_names()]
        model.__type_names__ = (classes_made(), names)  # type: ignore[attr-defined]
    return list(names)


def _dig(stored: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(stored, Mapping):
            return MISSING
        stored = stored.get(part, MISSING)
    return stored
