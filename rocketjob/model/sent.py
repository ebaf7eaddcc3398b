"""New documents whose insert had no answer: storing them again finds out, and stores none twice.

The store may have got away before the insert, or after it. Whoever has the objects saves them again
when it is back; the ids, which they have from the beginning, tell what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rocketjob.model.record import record_of
from rocketjob.store import Stored
from rocketjob.store.away import is_away


def note(documents: Sequence[Any], stored: Sequence[Stored], error: Exception) -> None:
    """Note what was sent to a store that did not answer; say so in the error."""
    if not is_away(error):
        return
    for document, sent in zip(documents, stored, strict=True):
        record_of(document).sent = sent
    which = repr(documents[0]) if len(documents) == 1 else f"{len(documents)} documents"
    error.add_note(
        f"Whether {which} had been stored by then is not known. Save the same object again, "
        "or the same objects: none is stored twice"
    )


def still_to_insert(cls: Any, documents: Sequence[Any]) -> Sequence[Any]:
    """Return the new documents without those that an earlier insert has stored after all.

    What was changed in those since is saved.
    """
    unsure = [document for document in documents if record_of(document).sent is not None]
    if not unsure:
        return documents
    inserted = cls._inserted_among([document.id for document in unsure])
    for document in unsure:
        if document.id in inserted:
            record_of(document).was_sent()
            document._update()
    return [document for document in documents if document.is_new]
