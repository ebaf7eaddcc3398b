"""Documents, filters and updates in MongoDB's language, for stores that are not MongoDB.

A store of one's own keeps documents; what a filter matches, what an update makes and in which
order documents come is the same for all stores, and is here::

    from rocketjob.store import documents

    matches = documents.compile_filter({"state": "queued", "priority": {"$lte": 50}})
    updater = documents.compile_update({"$set": {"state": "running"}, "$inc": {"claims": 1}})
    for document in documents.in_order(filter(matches, kept), [("priority", 1)]):
        updater.apply(document)

What is compared must be as BSON stores it: keep what `normalise` returns. `docs/stores/writing.md`
shows how a store is made of this.

The embedded store uses the modules beneath, where filters and updates are compiled as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob.store.documents import matcher, updater
from rocketjob.store.documents.grouping import count_by, count_by_range, distinct
from rocketjob.store.documents.ids import with_id
from rocketjob.store.documents.index import Index, duplicate, index_definition, is_same
from rocketjob.store.documents.language import FILTER_OPERATORS, UPDATE_OPERATORS
from rocketjob.store.documents.leaves import Match
from rocketjob.store.documents.order import in_order
from rocketjob.store.documents.projection import Project, compile_projection
from rocketjob.store.documents.results import Deleted, InsertedMany, InsertedOne, Updated
from rocketjob.store.documents.updater import Updater
from rocketjob.store.documents.values import (
    MISSING,
    copy,
    decode,
    encode,
    equal,
    normalise,
    sort_key,
)
from rocketjob.store.unit import Filter, Stored

__all__ = [
    "FILTER_OPERATORS",
    "MISSING",
    "UPDATE_OPERATORS",
    "Deleted",
    "Index",
    "InsertedMany",
    "InsertedOne",
    "Match",
    "Project",
    "Updated",
    "Updater",
    "compile_filter",
    "compile_projection",
    "compile_update",
    "copy",
    "count_by",
    "count_by_range",
    "decode",
    "distinct",
    "duplicate",
    "encode",
    "equal",
    "in_order",
    "index_definition",
    "is_same",
    "normalise",
    "sort_key",
    "upserted",
    "with_id",
]


def compile_filter(filter: Filter | None) -> Match:
    """Return a function that says whether a normalised document matches.

    Args:
        filter: in MongoDB's language; None matches everything.

    Raises:
        UnsupportedOperation: it has an operator that is not in `FILTER_OPERATORS`.
        StoreError: an operand is wrong, or has no BSON form.
    """
    return matcher.compile_match(normalise(filter or {}))


def compile_update(update: Mapping[str, Any]) -> Updater:
    """Return what an update does: `apply` and `insert` change a normalised document in place.

    Raises:
        UnsupportedOperation: it has an operator that is not in `UPDATE_OPERATORS`.
        StoreError: it is a replacement, two paths conflict, or a value has no BSON form.
    """
    return updater.compile_change(normalise(update))


def upserted(filter: Filter, changes: Updater) -> Stored:
    """Return the document that an upsert stores where nothing matched: normalised, with an `_id`.

    Args:
        filter: its equalities are what the document begins with.
        changes: what `compile_update` returned.
    """
    return normalise(updater.upserted(normalise(filter), changes))
