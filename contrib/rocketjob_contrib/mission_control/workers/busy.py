"""What workers are at: jobs that they hold, and slices of batch jobs.

Jobs are in one collection, and the slices of each batch job in one of their own. A page looks at
the slices of a few jobs only, those that were looked at longest ago, and has the others' from
before: however many batch jobs run, it costs the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.log import Logger
from rocketjob.base.passwords import hide_passwords
from rocketjob.jobs import claims
from rocketjob.server.server import Server
from rocketjob.store import Filter, Stored
from rocketjob_contrib.mission_control.lists import COUNTED
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.slices import InputSlices

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
AT_ONCE = 4  # batch jobs whose slices are read for one page
MOST_BATCHES = 500
MOST_SLICES = 1000  # of one job
OF_JOB = ("_type", "description", "state", "sub_state", "started_at", "worker_name", "claimed_by")
OF_SLICE = ("started_at", "worker_name", "claimed_by", "size")
KEPT = 1000  # jobs whose slices are remembered


@attrs.frozen(kw_only=True)
class Busy:
    """A worker at a job, or at a slice of one.

    Attributes:
        id: of the row.
        job: what is stored of the job.
        server: that the worker belongs to; None: it is gone.
        slice: the numbers of the first and last record of its slice.
        since: when it began with that.
    """

    id: str
    job: Stored
    worker_name: str
    server: Server | None
    since: datetime | None
    slice: tuple[int, int] | None = None

    @property
    def job_id(self) -> str:
        return str(self.job["_id"])

    @property
    def class_name(self) -> str:
        return str(self.job.get("_type") or "Job")

    @property
    def description(self) -> str:
        return hide_passwords(str(self.job.get("description") or ""))

    @property
    def phase(self) -> str | None:
        """The phase of a batch job, where the worker has the job itself."""
        return self.job.get("sub_state") if self.slice is None else None

    @property
    def is_orphan(self) -> bool:
        """Whether its server is gone, or its heartbeat has stopped."""
        return self.server is None or self.server.seems_dead()

    @property
    def icon(self) -> str:
        """What the worker is shown as: the state of its job, or a zombie."""
        return "zombie" if self.is_orphan else str(self.job.get("state") or "running")


@attrs.frozen
class Selection:
    """Which workers are wanted: all, those at one job, or those of some servers."""

    job_id: ObjectId | None = None
    incarnations: tuple[str, ...] | None = None

    @property
    def held(self) -> Filter:
        """Return the filter of what these workers hold, of jobs as of slices."""
        if self.incarnations is None:
            return {"claimed_by": {"$exists": True}}
        return {"$or": [claims.held_by(name) for name in self.incarnations]}

    def of_jobs(self, filter: Filter) -> Filter:
        return filter if self.job_id is None else {"$and": [{"_id": self.job_id}, filter]}


def jobs_held(selection: Selection, limit: int) -> list[Stored]:
    """Return the jobs that workers hold themselves, those that began first."""
    fields = dict.fromkeys(("_id", *OF_JOB), 1)
    sort = [("started_at", 1), ("_id", 1)]
    found = Job.collection().find(selection.of_jobs(selection.held), fields, sort=sort, limit=limit)
    return list(found)


def count_held(selection: Selection) -> int:
    """Count those jobs, up to a bound."""
    filter = selection.of_jobs(selection.held)
    return Job.collection().count_documents(filter, limit=COUNTED + 1)


def batches(selection: Selection, servers: Iterable[Server]) -> list[Stored]:
    """Return the batch jobs whose slices workers may have.

    A job that is not running any more is among them if a heartbeat says that a worker is still at
    it: of paused and failed ones there may be thousands.
    """
    if selection.incarnations is not None:
        servers = [server for server in servers if server.incarnation in selection.incarnations]
    lingering = {"_id": {"$in": [*_in_work(servers)]}, "state": {"$ne": "running"}}
    running = {"state": "running", "sub_state": "processing"}
    wanted = running if selection.job_id is None else {"sub_state": {"$exists": True}}
    filter = selection.of_jobs({"$or": [wanted, lingering]})
    fields = dict.fromkeys(("_id", *OF_JOB), 1)
    sort = [("started_at", 1), ("_id", 1)]
    return list(Job.collection().find(filter, fields, sort=sort, limit=MOST_BATCHES))


def _in_work(servers: Iterable[Server]) -> set[ObjectId]:
    performed = (id for server in servers for id in server.performing)
    jobs = {id.partition("/")[0] for id in performed if "/" in id}
    return {ObjectId(id) for id in jobs if ObjectId.is_valid(id)}


class Slices:
    """The slices in work of batch jobs, as they were last read; one for all looks."""

    def __init__(self) -> None:
        self._read: dict[Any, tuple[float, list[Stored]]] = {}

    def of(self, jobs: list[Stored]) -> tuple[list[tuple[Stored, Stored]], int]:
        """Return the slices, each with its job, and of how many jobs none have been read yet."""
        known = self._read
        if len(known) > KEPT:
            known.clear()
        oldest = sorted(jobs, key=lambda job: known.get(job["_id"], (0.0, []))[0])
        for job in oldest[:AT_ONCE]:
            known[job["_id"]] = (clock.monotonic(), _slices_of(job["_id"]))
        found = [(job, stored) for job in jobs for stored in known.get(job["_id"], (0.0, []))[1]]
        return found, sum(job["_id"] not in known for job in jobs)


def slices_of(view: View) -> Slices:
    """Return what this web process knows of slices in work."""
    found: Slices = view.site.memory.setdefault("workers.slices", Slices())
    return found


def _slices_of(job_id: ObjectId) -> list[Stored]:
    fields = dict.fromkeys(("_id", *OF_SLICE), 1)
    try:
        slices = InputSlices(job_id, InputCategory()).collection
        return list(slices.find({"state": "running"}, fields, limit=MOST_SLICES))
    except Exception as error:  # their store may be away: the other workers are shown nevertheless
        log.warning("slices cannot be looked at", job_id=str(job_id), error=str(error)[:300])
        return []
