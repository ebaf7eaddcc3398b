"""A job's end and what is created with it, as one step, on stores without transactions.

The guarded write that ends the job also notes in the job's document what is to be created. Then
that is stored, and then the note is removed. Whoever dies in between leaves a note, and every
server's sweep finishes it: under its own `_id` a document is stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rocketjob import clock
from rocketjob.errors import is_duplicate_key
from rocketjob.log import Logger
from rocketjob.store import Store, Stored, Write

if TYPE_CHECKING:
    from rocketjob.document import Document

log = Logger("rocketjob.successors")
FIELD = "_successors"
JOBS = "rocket_job.jobs"
PATIENCE = timedelta(seconds=60)  # whoever wrote the note has it done long before
INDEXES: dict[str, list[dict[str, Any]]] = {
    JOBS: [
        {
            "keys": [(f"{FIELD}.at", 1)],
            "name": "successors",
            "partialFilterExpression": {f"{FIELD}.at": {"$exists": True}},
        }
    ]
}


def noted(write: Write, set: Mapping[str, Any], documents: Mapping[Document, Stored]) -> Write:
    """Return the write that ends a job, with a note of what is to be created.

    Args:
        write: of the change; one that deletes the job becomes an update, and the note says so.
        set: what the change sets.
    """
    note = {
        "at": clock.now(),
        "remove": write.update is None,
        "documents": [
            {"collection": document.collection_name, "document": stored}
            for document, stored in documents.items()
        ],
    }
    update = dict(write.update or {})
    update["$set"] = {**set, FIELD: note}
    return Write(write.filter, update)


def finish(store: Store, job_id: Any, note: Mapping[str, Any]) -> list[Any]:
    """Create what a note names, and remove it; return the ids that unique indexes refused."""
    refused = []
    for each in note["documents"]:
        stored = each["document"]
        try:
            store.collection(each["collection"]).insert_one(dict(stored))
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            if store.collection(each["collection"]).find_one({"_id": stored["_id"]}) is None:
                refused.append(stored["_id"])
    jobs, mine = store.collection(JOBS), {"_id": job_id, f"{FIELD}.at": note["at"]}
    if note["remove"]:
        jobs.delete_one(mine)
    else:
        jobs.update_one(mine, {"$unset": {FIELD: ""}})
    return refused


def finish_all(store: Store, patience: timedelta = PATIENCE) -> int:
    """Finish what processes that died have left; return how many jobs were concerned."""
    if store.supports_transactions:
        return 0
    late: Sequence[Stored] = list(
        store.collection(JOBS).find({f"{FIELD}.at": {"$lt": clock.now() - patience}}, {FIELD: 1})
    )
    for stored in late:
        finish(store, stored["_id"], stored[FIELD])
        log.warning("created what a job that ended was to leave", job_id=str(stored["_id"]))
    return len(late)
