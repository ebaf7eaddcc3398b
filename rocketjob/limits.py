"""Limits: rules such as "at most n of these at once", kept in the same step that claims.

A limit is never a counter. It is evaluated from what is stored, under the transaction of the claim
itself, so that it can be exceeded by nobody, and so that nothing leaks when a process is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.store import Filter, Store, Stored

if TYPE_CHECKING:
    from rocketjob.job import Job

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
        blocks: which queued jobs wait when no place is free.
    """

    name: str
    key: str
    maximum: int
    counts: Filter
    blocks: Filter

    def free(self, store: Store, now: datetime) -> int:
        """Return how many more jobs may start now."""
        running = store.collection("rocket_job.jobs").count_documents(
            {"state": "running", **self.counts}
        )
        return self.maximum - running

    def take(self, store: Store, count: int, now: datetime) -> None:
        """Note that jobs were started; for this limit the claims themselves say so."""

    def free_at(self, store: Store, now: datetime) -> datetime | None:
        """Return when a place becomes free, where that is known."""
        return None

    def describe(self, store: Store, now: datetime) -> str:
        """Say in words why a job waits for this limit."""
        holders = store.collection("rocket_job.jobs").find(
            {"state": "running", **self.counts}, {"_type": 1, "worker_name": 1}, limit=5
        )
        names = ", ".join(f"{h['_type']} {h['_id']}" for h in holders)
        return f"at most {self.maximum} may run at once ({self.key}); running now: {names}"


@attrs.define(eq=False)
class LimitedClaim:
    """One claim in which some jobs are subject to limits."""

    store: Store
    filter: Filter
    update: Mapping[str, Any]
    sort: Sequence[tuple[str, int]]
    now: datetime
    load: Any
    _free: dict[str, int] = attrs.field(factory=dict)
    _limits: dict[str, Limit] = attrs.field(factory=dict)
    _taken: dict[str, int] = attrs.field(factory=dict)
    _blocked: list[Filter] = attrs.field(factory=list)

    def run(self, count: int) -> list[Stored]:
        """Claim up to `count` jobs whose limits have a place; return them as they are then."""
        jobs = self.store.collection("rocket_job.jobs")
        if jobs.find_one(self.filter, {"_id": 1}) is None:
            return []  # nothing to claim: take no lock
        claimed: list[Stored] = []
        with self.store.transaction():
            while len(claimed) < count:
                found = list(jobs.find(self._where(), sort=self.sort, limit=count - len(claimed)))
                admitted = [stored for stored in found if self._admit(stored)]
                for stored in admitted:
                    after = jobs.find_one_and_update(
                        {"_id": stored["_id"], "state": "queued"},
                        self.update,
                        return_document=True,
                    )
                    if after is not None:
                        claimed.append(after)
                if len(admitted) == len(found) or not found:
                    break  # else some were blocked: look past them
            for key, taken in self._taken.items():
                self._limits[key].take(self.store, taken, self.now)
        return claimed

    def _where(self) -> Filter:
        if not self._blocked:
            return self.filter
        return {"$and": [self.filter, {"$nor": list(self._blocked)}]}

    def _admit(self, stored: Stored) -> bool:
        job: Job = self.load(stored)
        limits = job.claim_limits()
        for limit in limits:
            if self._places(limit) <= 0:
                if limit.blocks not in self._blocked:
                    self._blocked.append(limit.blocks)
                    self._note(job, limit)
                return False
        for limit in limits:
            self._free[limit.key] -= 1
            self._taken[limit.key] = self._taken.get(limit.key, 0) + 1
        return True

    def _places(self, limit: Limit) -> int:
        if limit.key not in self._free:
            self._free[limit.key] = limit.free(self.store, self.now)
            self._limits[limit.key] = limit
        return self._free[limit.key]

    def _note(self, job: Job, limit: Limit) -> None:
        """Store on the job at the head why it waits, if it does not say so already."""
        note = job.waiting_note(limit.name, self.now)
        if note:
            self.store.collection("rocket_job.jobs").update_one({"_id": job.id}, {"$set": note})
