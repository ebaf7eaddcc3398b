"""What is asked of a class of documents: which there are, and each of them as an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from bson import ObjectId

from rocketjob.base.errors import NotFound
from rocketjob.model import registry
from rocketjob.model.document_class import DocumentClass
from rocketjob.model.query import Query
from rocketjob.model.record import Record
from rocketjob.store import Collection, Filter, Stored, context


class Lookup(DocumentClass, abstract=True):
    """The class methods of `Document` that find documents, and that load what is stored."""

    if TYPE_CHECKING:

        def _load(self, stored: Stored, strict: bool = True) -> None: ...

        def destroy(self) -> None: ...

    @classmethod
    def type_name(cls) -> str:
        """Return the name under which documents of this class are stored."""
        return cls.__name__

    @classmethod
    def stored_names(cls) -> list[str]:
        """Return all names under which documents of this class may be stored: see `formerly`."""
        return [cls.type_name(), *cls.__formerly__]

    @classmethod
    def stored_type(cls) -> Any:
        """Return what `_type` of a document of this very class is, for filters."""
        names = cls.stored_names()
        return names[0] if len(names) == 1 else {"$in": names}

    @classmethod
    def key_name(cls) -> str:
        """Return the name from which unique keys are made: the oldest, for as long as it is given.

        So processes with the code of before a renaming and of after it meet in the same key.
        """
        return cls.__formerly__[-1].rpartition(".")[2] if cls.__formerly__ else cls.type_name()

    @classmethod
    def collection(cls) -> Collection:
        """Return the store's collection of this class."""
        return context.current().store.collection(cls.collection_name)

    # --- loading -----------------------------------------------------------------------------

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
    def _class_of(cls, name: Any) -> type[Lookup]:
        document_class = registry.class_called(str(name)) if name is not None else cls
        if document_class is not None and document_class.collection_name == cls.collection_name:
            return document_class
        return cls._unknown_class(str(name))

    @classmethod
    def _unknown_class(cls, name: str) -> type[Lookup]:
        """Return what stands in for a class that is not loaded here."""
        return cls

    # --- finding -----------------------------------------------------------------------------

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


def as_object_id(value: Any) -> Any:
    """Return an id from its text; anything else as it is."""
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    return value
