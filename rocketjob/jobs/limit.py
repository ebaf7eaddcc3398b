"""`Limit`: how many jobs may run at once; `rocketjob.queue.limits` enforces it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import attrs

from rocketjob.jobs.claims import COLLECTION as JOBS
from rocketjob.store import Filter, Store

COLLECTION = "rocket_job.limits"
UNLIMITED = 1_000_000_000


@attrs.frozen(kw_only=True)
class Limit:
    """At most `maximum` running jobs of those that `counts` matches.

    A job's method `claim_limits` returns those that hold for it. Other rules are subclasses.

    Attributes:
        name: stored as the reason why a job waits, such as `throttle_running_jobs`.
        key: equal for jobs that share the limit.
        maximum: how many may run at once.
        counts: which running jobs hold a place.
        blocks: which queued jobs wait when no place is free: values by key.
    """

    freed_by_ends: ClassVar[bool] = True
    """Whether the end of one of the running jobs that it counts can make a place."""

    name: str
    key: str
    maximum: int
    counts: Filter
    blocks: Filter

    def free(self, store: Store, now: datetime, session: Any = None) -> int:
        """Return how many more jobs may start now."""
        running = {"state": "running", **self.counts}
        return self.maximum - store.collection(JOBS).count_documents(running, session=session)

    def take(self, store: Store, now: datetime, session: Any = None) -> None:
        """Note that a job was started, in the step of its claim.

        For this limit the claim itself says so. The turn is counted so that, of two claims at the
        same instant that a store would run on the same picture, one has to be made again.
        """
        store.collection(COLLECTION).update_one(
            {"_id": self.key}, {"$inc": {"turn": 1}}, upsert=True, session=session
        )

    def free_at(self, store: Store, now: datetime) -> datetime | None:
        """Return when a place becomes free, where that is known."""
        return None

    def rule(self) -> str:
        """Say in words what it allows, as it is stored on the first of the jobs that wait."""
        return f"at most {self.maximum} may run at once"

    def describe(self, store: Store, now: datetime) -> str:
        """Say in words why a job waits for this limit."""
        return f"{self.rule()}; running now: {self.holders(store)}"

    def holders(self, store: Store, most: int = 5) -> str:
        """Name the jobs that hold the places."""
        running = {"state": "running", **self.counts}
        holders = store.collection(JOBS).find(
            running, {"_type": 1, "worker_name": 1}, limit=most + 1
        )
        names = [f"{h['_type']} {h['_id']} on {h.get('worker_name') or '?'}" for h in holders]
        more = ", and more" if len(names) > most else ""
        return (", ".join(names[:most]) or "none any more") + more
