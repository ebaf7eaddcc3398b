"""Saving a document, and storing another one with it, in one step or not at all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from rocketjob.model.bulk import raise_refusal
from rocketjob.model.record import Changes, record_of
from rocketjob.store import Stored, Unit, context
from rocketjob.store.unit import update_back

if TYPE_CHECKING:
    from rocketjob.model.document import Document


def save_both(document: Document, other: Document) -> None:
    """Save a document, and create the other one, with the callbacks of both.

    Raises:
        ValidationError: the other one is not valid; both are as they were.
    """
    created = [new for new in (document, other) if new.is_new]
    for new in created:
        new.before_created()
    records = [
        (saved, record_of(saved), record_of(saved).snapshot(saved)) for saved in (document, other)
    ]
    step: Callable[[], None] = functools.partial(_store_both, document, other)
    events = [(document, "save"), *([(document, "create")] if document.is_new else [])]
    for saved, event in reversed([*events, (other, "save"), (other, "create")]):
        step = functools.partial(saved.chain(event).run, saved, step)
    try:
        step()
    except BaseException:
        for saved, record, before in records:
            record.restore(saved, before)
        raise
    for new in created:
        new.after_created()


def _store_both(document: Document, other: Document) -> None:
    record, stored = record_of(document), other.to_document()
    own = document.to_document() if document.is_new else None
    changes: Changes = ({}, {}) if own is not None else record.changes(document)
    try:
        (done,) = context.current().store.commit([_unit(document, own, changes, other, stored)])
    except Exception as error:
        raise_refusal(other, error)
        raise
    if not done.held:
        raise document.write_lost()
    if own is not None:
        record.was_stored(own)
    elif any(changes) or record.unsaved:
        record.written(*changes)
    record_of(other).was_stored(stored)


def _unit(
    document: Document, own: Stored | None, changes: Changes, other: Document, stored: Stored
) -> Unit:
    def check() -> None:
        other.validate()  # only now: the document as it was may have been in the way
        stored.update(other.to_document())

    write = None if own is not None else document.save_write(changes)
    return Unit(
        collection=document.collection_name,
        write=write if write is not None and write.update else None,
        inserts=[*([document.as_insert(own)] if own else []), other.as_insert(stored)],
        check=check,
        undo=update_back(record_of(document).stored or {}, (*changes[0], *changes[1])),
    )
