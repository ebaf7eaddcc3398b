"""Remove what is no longer needed: old jobs, slices without a job, old events and limits.

    HousekeepingJob.create(completed_retention=timedelta(hours=12), failed_retention=None)

Any server can run it, and only one instance exists at a time. It runs every 15 minutes.

Fields, all editable and copied: `aborted_retention` and `completed_retention` (7 days),
`failed_retention` (14 days), `paused_retention` and `queued_retention` (None), each a timedelta, or
None to keep jobs in that state. A queued job's age counts from its creation, that of any other job
from when it entered its state. Running jobs are never touched. `slices_retention` (1 day) is the
age at which input and output that belong to no job are removed: an upload to a job that is not yet
saved is younger. `limits_retention` (400 days) applies to what rate limits remember.
`destroy_zombies` (True) removes the documents of servers that died long ago.

Jobs are removed in small steps, so that the store is never locked for long, and each one only if it
has not changed since it was found. Jobs of a class with `destroy` callbacks are destroyed one by
one, and their callbacks run; one whose callback raises is logged and kept. Callbacks of a class
that is not loaded on the server cannot run. Work of dead servers is recovered without this job.

The log, and `result` if the job is kept, give counts of what was removed, by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from rocketjob import Job, UnknownJob, events, field, hookimpl
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.errors import NotFound
from rocketjob.base.text import relative
from rocketjob.jobs import removal
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.store_away import waits_for_store
from rocketjob.model.document import Document
from rocketjob.model.registry import lookup
from rocketjob.queue import limits
from rocketjob.server.checks import WARNING, Check, Finding, Patient
from rocketjob.server.server import Server
from rocketjob.store import Collection, Filter, Store, Stored, Write
from rocketjob_plugins.batch.settings import slices_store
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.cron.signs import has_series
from rocketjob_plugins.singleton import Singleton

PAGE = 50  # documents in one step: a few milliseconds
SLICES = 5  # the same, but a slice can be large
SLICES_OF = re.compile(r"rocket_job\.(?:inputs|outputs)\.([0-9a-f]{24})(?:\.|$)")
LONG_DEAD = 20  # missed heartbeats: the other servers remove a dead one after four
EVERYTHING: Filter = {}
DAY = timedelta(days=1)


def _retention(default: timedelta | None, jobs: str) -> Any:
    description = f"how long {jobs} are kept; None: for ever"
    return field(default=default, user_editable=True, copy_on_restart=True, description=description)


class HousekeepingJob(Cron, Singleton, Job):
    """Removes old jobs and what they left behind. See the module."""

    cron_schedule = "0,15,30,45 * * * * UTC"
    priority = 25
    description = "Cleans out historical jobs, and zombie servers."
    collect_output = True

    aborted_retention: timedelta | None = _retention(7 * DAY, "aborted jobs")
    completed_retention: timedelta | None = _retention(7 * DAY, "completed jobs")
    failed_retention: timedelta | None = _retention(14 * DAY, "failed jobs")
    paused_retention: timedelta | None = _retention(None, "paused jobs")
    queued_retention: timedelta | None = _retention(None, "queued jobs")
    slices_retention: timedelta | None = _retention(DAY, "slices of no job")
    limits_retention: timedelta | None = _retention(400 * DAY, "starts that rate limits remember")
    destroy_zombies: bool = field(default=True, user_editable=True, copy_on_restart=True)

    @waits_for_store
    def perform(self) -> dict[str, int]:
        """Remove what is too old; return how much of each kind."""
        now, removed = clock.now(), dict[str, int]()
        for state in ("aborted", "completed", "failed", "paused", "queued"):
            retention: timedelta | None = getattr(self, f"{state}_retention")
            if retention is not None:
                removed[state] = self._remove_jobs(state, now - retention)
        if self.destroy_zombies:
            removed["servers"] = self._remove_servers()
        if self.slices_retention is not None:
            removed["slices"] = self._remove_slices(now - self.slices_retention)
        removed["events"] = _in_steps(
            events.COLLECTION, {"created_at": {"$lt": now - 2 * events.KEPT}}
        )
        if self.limits_retention is not None:
            recent = {"$gt": now - self.limits_retention}
            unused = {"starts": {"$exists": True, "$not": recent}}
            removed["limits"] = _in_steps(limits.COLLECTION, unused)
        counts = {name: count for name, count in removed.items() if count}
        self.logger.info("removed", **counts)
        return counts

    # --- jobs --------------------------------------------------------------------------------

    def _remove_jobs(self, state: str, before: datetime) -> int:
        """Remove the jobs that entered a state before a time, oldest first."""
        since = "created_at" if state == "queued" else "completed_at"
        removed, kept_ids, window = 0, list[Any](), {"$lte": before}
        while True:
            old: Filter = {"state": state, since: window}
            filter = {**old, "_id": {"$nin": kept_ids}} if kept_ids else old
            cursor = self.collection().find(
                filter, {"_type": 1, since: 1}, sort=[(since, 1)], limit=PAGE
            )
            page = list(cursor)
            destroyed = self._remove_page(page, old)
            removed += destroyed
            if len(page) < PAGE:
                return removed
            if destroyed < len(page):
                kept_ids += [
                    stored["_id"] for stored in page
                ]  # some stay: do not look at them again
            window = {"$gte": page[-1][since], "$lte": before}

    def _remove_page(self, page: list[Stored], old: Filter) -> int:
        ids = [stored["_id"] for stored in page if not _has_callbacks(stored)]
        removed = _delete(current().store, self.collection_name, ids, old)
        return removed + sum(
            self._destroy(stored, old) for stored in page if _has_callbacks(stored)
        )

    def _destroy(self, stored: Stored, old: Filter) -> bool:
        """Destroy one job, running its callbacks, if it still matches."""
        document = self.collection().find_one({**old, "_id": stored["_id"]})
        if document is None:
            return False
        try:
            job = Job.from_document(document)
            with removal.because(job, removal.HOUSEKEEPING):
                if _destroys_itself(type(job)):
                    job.destroy()
                    return True
                job.chain("destroy").run(job, lambda: _delete_guarded(job, old))
        except NotFound:
            return False  # just retried or resumed
        except Exception:
            self.logger.exception("cannot be destroyed: kept", of=str(stored["_id"]))
            return False
        return True

    # --- what was left behind ----------------------------------------------------------------

    def _remove_servers(self) -> int:
        """Remove servers that died long ago; the living ones reclaim their jobs."""
        dead = [server for server in Server.all() if server.is_zombie(LONG_DEAD)]
        for server in dead:
            self.logger.warning("a dead server is removed", server=server.name)
            server.destroy()
        return len(dead)

    def _remove_slices(self, before: datetime) -> int:
        """Remove the slices whose job is gone; return how many collections."""
        store, removed = slices_store(), 0
        for name in store.collection_names():
            match = SLICES_OF.match(name)
            if match is None or ObjectId(match[1]).generation_time > before:
                continue
            if self.collection().find_one({"_id": ObjectId(match[1])}, {"_id": 1}) is None:
                for page in _pages(store.collection(name), {}, {"_id": 1}, SLICES):
                    _delete(store, name, [slice["_id"] for slice in page])
                store.collection(name).drop()
                removed += 1
        return removed


def _has_callbacks(stored: Stored) -> bool:
    """Return whether destroying a job means more than deleting its document."""
    cls = lookup(str(stored.get("_type")), Job)
    if removal.is_told(cls or UnknownJob):
        return True
    return cls is not None and (bool(cls.chain("destroy")) or _destroys_itself(cls))


def _destroys_itself(cls: type[Job]) -> bool:
    return cls.destroy is not Document.destroy or cls.delete is not Document.delete


def _delete_guarded(job: Job, old: Filter) -> None:
    if not _delete(current().store, job.collection_name, [job.id], old):
        raise NotFound(f"{job!r} is not as old as it was")
    job.after_removed()


def _delete(store: Store, name: str, ids: list[Any], also: Filter = EVERYTHING) -> int:
    """Delete documents in one step, each looked up by its id; return how many were deleted."""
    return sum(store.write_many(name, [Write({"_id": id, **also}, None) for id in ids]))


def _pages(
    collection: Collection, filter: Filter, projection: Any, size: int = PAGE
) -> Iterator[list[Stored]]:
    """Yield matching documents in small pages, by id; each is seen once, whatever happens to it."""
    after: Filter = {}
    while True:
        cursor = collection.find({**filter, **after}, projection, sort=[("_id", 1)], limit=size)
        page = list(cursor)
        if page:
            yield page
        if len(page) < size:
            return
        after = {"_id": {"$gt": page[-1]["_id"]}}


def _in_steps(name: str, filter: Filter) -> int:
    """Delete matching documents, a few at a time; return how many."""
    store = current().store
    return sum(
        _delete(store, name, [stored["_id"] for stored in page], filter)
        for page in _pages(store.collection(name), filter, {"_id": 1})
    )


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [HousekeepingJob]


def _is_there(patient: Patient) -> Iterator[Finding]:
    """Say for the verdict that what is old is never removed, where there is something old."""
    if not has_series(HousekeepingJob) and (old := _oldest(patient.store)):
        message = f"there is no housekeeping, and what is old is never removed, such as {old}"
        advice = "create it: rocketjob enqueue HousekeepingJob"
        yield Finding("housekeeping", WARNING, message, advice)


def _oldest(store: Store) -> str | None:
    """Name a job that housekeeping would have removed by now, by its defaults; None without any."""
    for state in ("completed", "failed", "aborted"):
        retention: timedelta = HousekeepingJob.fields()[f"{state}_retention"].default
        old = {"$exists": True, "$lt": clock.now() - retention}
        filter, order = {"state": state, "completed_at": old}, [("completed_at", 1)]
        stored = store.collection(COLLECTION).find_one(
            filter, {"_type": 1, "completed_at": 1}, sort=order
        )
        if stored is not None:
            verb = "was aborted" if state == "aborted" else state
            return f"{stored['_type']}, which {verb} {relative(stored['completed_at'])}"
    return None


@hookimpl
def register_signs() -> list[Check]:
    return [Check("housekeeping", _is_there)]
