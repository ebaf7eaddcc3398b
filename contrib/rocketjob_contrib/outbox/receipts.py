"""Receipts: which rows of outboxes have been relayed, so that none is a second time.

The store's answer that there is a job of this id already would not do: a job that has completed is
removed, and a relay that died before it removed the row would have it performed again. So the job
is stored in one step with a change of its receipt, which is made only once, whoever tries it.

A receipt is kept for a day after its row is gone: a relay may have read that row, and be late.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.errors import duplicate_key_details, is_duplicate_key
from rocketjob.store import Insert, Stored, Unit, Write, context
from rocketjob.store.unit import NEVER

COLLECTION = "rocket_job.relayed"
KEPT = timedelta(days=1)
INDEXES: dict[str, list[dict[str, Any]]] = {
    COLLECTION: [
        {
            "keys": [("gone_at", 1)],
            "name": "gone_at",
            "partialFilterExpression": {"gone_at": {"$exists": True}},
        }
    ]
}


def store_once(document: Stored) -> bool:
    """Store the document of a job, unless that was done before; return whether it was done now.

    Raises:
        Exception: the store refuses it, or cannot be used; then nothing was stored.
    """
    store, id = context.current().store, document["_id"]
    with _being_there(id):
        store.collection(COLLECTION).insert_one({"_id": id, "relayed": False, "at": clock.now()})
    hidden = {"run_at": NEVER} if document.get("state") == "queued" else {}
    unit = Unit(
        collection=COLLECTION,
        write=Write({"_id": id, "relayed": False}, {"$set": {"relayed": True}}),
        inserts=[Insert(Job.collection_name, document, hidden=hidden)],
        undo={"$set": {"relayed": False}},
    )
    with _being_there(id):  # whoever added it to the outbox has saved it besides
        return store.commit([unit])[0].held
    return False


def rows_are_gone(ids: Sequence[ObjectId]) -> None:
    """Note that the rows of these jobs were removed."""
    receipts = context.current().store.collection(COLLECTION)
    receipts.update_many(
        {"_id": {"$in": list(ids)}}, {"$set": {"relayed": True, "gone_at": clock.now()}}
    )


def forget() -> None:
    """Remove the receipts that nobody can ask for any more."""
    receipts = context.current().store.collection(COLLECTION)
    receipts.delete_many({"gone_at": {"$lt": clock.now() - KEPT}})


@contextlib.contextmanager
def _being_there(id: ObjectId) -> Iterator[None]:
    """Pass over the refusal of a document whose id is there already."""
    try:
        yield
    except Exception as error:
        if not (is_duplicate_key(error) and _is_of_id(duplicate_key_details(error), id)):
            raise


def _is_of_id(refused: Mapping[str, Any], id: ObjectId) -> bool:
    keys = refused.get("keyPattern", {})
    return refused.get("keyValue", {}).get("_id") == id or "_id" in keys or "_id_" in keys
