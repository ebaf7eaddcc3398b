"""Many new documents in one group: all of them are stored, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from rocketjob.base import acts
from rocketjob.base.errors import (
    DocumentTooLarge,
    ValidationError,
    duplicate_key_details,
    is_duplicate_key,
    is_too_large,
)
from rocketjob.model import deeds, sent
from rocketjob.model.callbacks import Chain, Frame, leave_all, unwind_all
from rocketjob.model.record import record_of
from rocketjob.store import Insert, Stored, Unit, context
from rocketjob.store.packing import pack


class Document(Protocol):
    """What storing many asks of each: see `rocketjob.model.document`."""

    collection_name: ClassVar[str]
    id: Any

    @classmethod
    def chain(cls, event: str) -> Chain: ...

    def before_created(self) -> None: ...

    def after_created(self) -> None: ...

    def validate(self) -> None: ...

    def to_document(self) -> Stored: ...

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]: ...


def create_all(cls: type[Document], documents: Sequence[Document]) -> None:
    """Validate and store new documents of one class, with their callbacks.

    Raises:
        ValidationError: names the documents by their number from 0; nothing was stored.
    """
    _validate_all(documents, cls.__name__)
    if not documents:
        return
    frames = [
        Frame(chain, document)
        for document in documents
        for chain in (document.chain("save"), document.chain("create"))
        if chain
    ]
    try:
        for frame in frames:
            frame.enter()
        _insert_all(cls, documents)
    except BaseException as error:
        unwind_all(frames, error)
        raise
    leave_all(frames)
    for document in documents:
        document.after_created()


def _validate_all(documents: Iterable[Document], name: str) -> None:
    errors: dict[str, list[str]] = {}
    for index, document in enumerate(documents):
        try:
            document.before_created()
            document.validate()
        except ValidationError as error:
            errors.update({f"[{index}].{key}": messages for key, messages in error.errors.items()})
    if errors:
        raise ValidationError(errors, name)


def _insert_all(cls: type[Document], documents: Sequence[Document]) -> None:
    documents = sent.still_to_insert(cls, documents)
    if not documents:
        return
    stored = [document.to_document() for document in documents]
    inserts = [Insert(cls.collection_name, values) for values in stored]
    beside = deeds.beside_many(documents) if acts.begun else ()
    unit = Unit.of(cls.collection_name, None, [*inserts, *beside])
    try:
        context.current().store.commit([unit])
    except Exception as error:
        sent.note(documents, stored, error)
        if is_too_large(error):
            sizes = [len(pack(values)) for values in stored]
            raise_refusal(documents[sizes.index(max(sizes))], error)
        key = duplicate_key_details(error).get("keyValue", {}).get("_id")
        for document in documents:
            if key is None or document.id == key:
                raise_refusal(document, error)
        raise
    for document, values in zip(documents, stored, strict=True):
        record_of(document).was_stored(values)


def raise_refusal(document: Document, error: Exception) -> None:
    """Turn a store's refusal into an error of ours: by a unique index, if a field explains it."""
    if is_too_large(error):
        raise DocumentTooLarge(
            f"{type(document).__name__} {document.id} would have more than 16 MB as BSON, which no "
            "document may have: store its larger part elsewhere, or split it"
        ) from error
    if is_duplicate_key(error):
        messages = document.duplicate_key_errors(duplicate_key_details(error))
        if messages:
            raise ValidationError(messages, type(document).__name__, conflict=True) from error
