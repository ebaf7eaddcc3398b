"""Jobs that cannot be loaded, or cannot take a claim, are failed by their document alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.jobs.claims import COLLECTION
from rocketjob.store import Store, Write

log = Logger("rocketjob.queue")


def fail_claimed(store: Store, stored: Mapping[str, Any], error: Exception) -> bool:
    """Fail a claimed job by its document alone; return whether it was still claimed."""
    try:
        return store.write_many(COLLECTION, [claims.fail(stored, error)])[0]
    except Exception as lost:
        log.error("it cannot be failed either", job_id=str(stored["_id"]), error=str(lost))
        return False


def fail_queued(store: Store, id: Any, error: Exception) -> bool:
    """Fail a queued job if its document cannot take a claim; return whether that was done."""
    stored = store.collection(COLLECTION).find_one({"_id": id})
    if stored is None or claims.can_be_claimed(stored):
        return stored is None  # it is not the document's fault
    for update in claims.failures_of_queued(error):
        try:
            store.write_many(COLLECTION, [Write({"_id": id, "state": "queued"}, update)])
        except Exception as refused:  # with less and less said there is room for it
            if store.is_transient(refused):
                raise
        else:
            return True
    return False
