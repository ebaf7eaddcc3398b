"""What `rocketjob top` reads: a bounded number of bounded reads, however long the queue is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
from bson import ObjectId

from rocketjob import Job
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.jobs import holds
from rocketjob.jobs.query import JobQuery
from rocketjob.jobs.shown import class_name
from rocketjob.model.record import HISTORY
from rocketjob.server.checks import Patient
from rocketjob.server.server import Server
from rocketjob.server.signs import COUNTED, waiting_since
from rocketjob.server.verdict import Verdict, judge
from rocketjob.store import Stored
from rocketjob_plugins.metrics.series import Series, read

ROWS = 200  # jobs of a list, at most
AT_ONCE = (
    3  # running jobs of which it is asked how far they are, where that takes a read of its own
)
KEPT = 1000  # of which that is remembered
FIELDS = (
    *("_id", "_type", "state", "sub_state", "description", "priority", "percent_complete"),
    *("progress_text", "created_at", "started_at", "completed_at", "run_at", "worker_name"),
    *("record_count", "input_categories", "exception.class_name", "exception.message"),
    *holds.KEYS,
)
"""What is read of a job. Of batch jobs also what says how many records are in a slice."""


@attrs.frozen
class Tab:
    """One list of jobs.

    Attributes:
        query: which they are.
        order: as an index has them.
    """

    name: str
    query: Callable[[], JobQuery[Job]]
    order: tuple[tuple[str, int], ...] = (("priority", 1), ("_id", 1))


def _ended(state: str) -> Tab:
    ended = {"state": state, "completed_at": {"$exists": True}}  # as the index `ended` has them
    return Tab(state, lambda: Job.where(ended), (("completed_at", -1), ("_id", -1)))


TABS = (
    Tab("running", Job.running),
    Tab("queued", Job.queued_now),
    Tab("scheduled", Job.scheduled, (("run_at", 1),)),
    _ended("failed"),
    _ended("paused"),
)


@attrs.frozen(kw_only=True)
class Row:
    """One job in a list.

    Attributes:
        percent: how far it is; None where that is not known.
        seconds: how long it has run, waited, or been in its state.
        workers: who is at it.
        note: why it waits, what it said last, why it failed.
    """

    id: ObjectId
    name: str
    state: str
    percent: int | None
    seconds: float
    workers: str
    note: str


@attrs.frozen(kw_only=True)
class Snapshot:
    """What was seen in one look.

    Attributes:
        counts: of jobs by tab, up to `COUNTED` + 1.
        tab: whose jobs the rows are.
        series: the last hour; None where nothing is counted.
    """

    at: datetime
    verdict: Verdict
    servers: tuple[Server, ...]
    counts: dict[str, int]
    tab: Tab
    rows: tuple[Row, ...]
    series: Series | None

    @property
    def busy(self) -> int:
        return sum(len(server.performing) for server in self.servers)

    @property
    def workers(self) -> int:
        return sum(server.workers for server in self.servers)


class Looker:
    """Looks again and again, and remembers what is not looked up each time."""

    def __init__(self) -> None:
        self._patient = Patient(current())
        self._percents: dict[Any, int | None] = {}

    def look(self, tab: Tab) -> Snapshot:
        """Return what there is to see now.

        Raises:
            Exception: the store cannot be reached.
        """
        at, verdict = clock.now(), judge(self._patient)
        servers = tuple(self._patient.servers)
        return Snapshot(
            at=at,
            verdict=verdict,
            servers=servers,
            counts={each.name: _count(each) for each in TABS},
            tab=tab,
            rows=tuple(self._rows(tab, servers)),
            series=read() if "metrics" in current().plugins.names else None,
        )

    def _rows(self, tab: Tab, servers: tuple[Server, ...]) -> list[Row]:
        fields: dict[str, Any] = dict.fromkeys(FIELDS, 1)
        if tab.name == "queued":
            fields[HISTORY] = 1  # it says when a job was queued again
        filter = tab.query().filter()
        found = Job.collection().find(filter, fields, sort=tab.order, limit=ROWS)
        at_work = Counter(id.partition("/")[0] for one in servers for id in one.performing)
        jobs = [(stored, Job.listed(stored)) for stored in found]
        if tab.name == "running":
            self._ask([job for _, job in jobs])
        return [self._row(tab, stored, job, at_work) for stored, job in jobs]

    def _ask(self, jobs: list[Job]) -> None:
        """Ask how far some jobs are, those first that were asked for the longest time ago."""
        known, asked = self._percents, [job for job in jobs if type(job).joinable is not None]
        turn = {id: number for number, id in enumerate(known)}
        asked.sort(key=lambda job: turn.get(job.id, -1))
        for job in asked[:AT_ONCE]:
            known.pop(job.id, None)  # so that it is the last in turn
            known[job.id] = _percent(job)
        while len(known) > KEPT:
            known.pop(next(iter(known)))

    def _row(self, tab: Tab, stored: Stored, job: Job, at_work: Counter[str]) -> Row:
        is_shared = type(job).joinable is not None
        percent = self._percents.get(job.id) if is_shared else stored.get("percent_complete", 0)
        workers, name = at_work[str(job.id)], stored.get("worker_name")
        shared = f"{workers} at it" if workers else ""
        return Row(
            id=stored["_id"],
            name=class_name(job),
            state=tab.name,
            percent=percent if isinstance(percent, int) else None,
            seconds=clock.now().timestamp() - _since(tab, stored).timestamp(),
            workers=str(name) if name else shared,
            note=_note(tab, stored),
        )


def _count(tab: Tab) -> int:
    return Job.collection().count_documents(tab.query().filter(), limit=COUNTED + 1)


def _percent(job: Job) -> int | None:
    try:
        return job.percent_complete
    except Exception as error:  # one job is not to hide the others
        if current().store.is_transient(error):
            raise
        return None


def _since(tab: Tab, stored: Stored) -> datetime:
    if tab.name == "queued":
        return waiting_since(stored)
    key = {"running": "started_at", "scheduled": "run_at"}.get(tab.name, "completed_at")
    at = stored.get(key) or stored.get("created_at")
    return at if isinstance(at, datetime) else clock.now()


def _note(tab: Tab, stored: Stored) -> str:
    """Say what there is to say of a job in its state."""
    failed = stored.get("exception")
    if tab.name == "failed" and isinstance(failed, dict):
        return f"{failed.get('class_name', '')}: {failed.get('message', '')}"
    held = stored.get("throttled_text") if tab.name in ("running", "queued") else None
    said = stored.get("progress_text") if tab.name == "running" else None
    return str(held or said or stored.get("description") or "")
