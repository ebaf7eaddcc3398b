"""The list of workers that are at something, the longest running first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
from bson import ObjectId
from starlette.responses import Response

from rocketjob import Job
from rocketjob.model.lookup import as_object_id
from rocketjob.server.server import Server
from rocketjob.store import Stored
from rocketjob_contrib.mission_control.lists import Asked, Column, Count, Found, Listing, asked_of
from rocketjob_contrib.mission_control.servers.fleet import fleet
from rocketjob_contrib.mission_control.servers.one import ACTIONS
from rocketjob_contrib.mission_control.tables import as_table, asked_by_table
from rocketjob_contrib.mission_control.workers import busy
from rocketjob_contrib.mission_control.workers.busy import Busy, Selection

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LISTING = Listing(
    (
        Column("worker", "Worker"),
        Column("server", "Server"),
        Column("class", "Class"),
        Column("slice", "At"),
        Column("description", "Description"),
        Column("started", "Started"),
    ),
    (),
)
DUMP = "/servers/{id}/thread_dump"
LAST = datetime.max.replace(tzinfo=UTC)


@attrs.frozen
class Narrowed:
    """Which workers a page shows, as its URL says.

    Attributes:
        selection: what is looked for.
        job: to which they are narrowed: its id, and its class if it is there.
        server: the name of the server to which they are narrowed.
    """

    selection: Selection
    job: tuple[str, str | None] | None = None
    server: str | None = None


def show(view: View) -> Response:
    """Show the list."""
    only = narrowed(view)
    kept = {"job_id": view.query.get("job_id"), "server_name": view.query.get("server_name")}
    asked = attrs.evolve(
        asked_of(LISTING, view.query), kept=tuple((k, v) for k, v in kept.items() if v)
    )
    found = find(view, asked, only.selection)
    return view.render(
        "workers/list.html",
        found=found,
        narrowed=only,
        empty=_empty(only),
        may_dump=lambda row: _may_dump(view, row),
    )


def _may_dump(view: View, row: Busy) -> bool:
    """Return whether whoever looks is offered to see where a worker is."""
    if row.server is None or not view.site.has(DUMP):
        return False
    is_there = ACTIONS["thread_dump"].suits(row.server)
    return is_there and view.may("servers.thread_dump", row.server)


def show_as_json(view: View) -> Response:
    """Show it as JSON, in the form that tables of the Ruby version asked for."""
    asked = asked_by_table(LISTING, view.query)
    return as_table(view.query, find(view, asked, narrowed(view).selection), as_json)


def narrowed(view: View) -> Narrowed:
    """Return which workers are asked for."""
    job, server = view.query.get("job_id"), view.query.get("server_name")
    if job:
        id = as_object_id(job)
        # One that no job has: the list is empty, and says for which job.
        selection = Selection(job_id=id if isinstance(id, ObjectId) else ObjectId())
        return Narrowed(selection, (job[:50], _class_of(id)))
    if server:
        names = tuple(each.incarnation for each in fleet(view) if each.name == server)
        return Narrowed(Selection(incarnations=names or ("",)), server=server[:200])
    return Narrowed(Selection())


def _class_of(id: Any) -> str | None:
    stored = Job.collection().find_one({"_id": id}, {"_type": 1})
    return None if stored is None else str(stored.get("_type") or "Job")


def _empty(narrowed: Narrowed) -> str:
    if narrowed.job:
        return "No worker is at this job."
    return f"No worker of {narrowed.server} is busy." if narrowed.server else "No worker is busy."


def find(view: View, asked: Asked, selection: Selection) -> Found:
    """Return a page of the list; it says of how many batch jobs it has no workers yet.

    What workers hold is ordered by the store, as far as this page; slices are few enough to be
    ordered here, and are put between.
    """
    wanted = asked.skip + asked.size + 1
    servers = {server.incarnation: server for server in fleet(view)}
    held = busy.jobs_held(selection, wanted)
    known = busy.slices_of(view) if selection.job_id is None else busy.Slices()
    slices, unread = known.of(busy.batches(selection, servers.values()))
    rows = [_at_job(job, servers) for job in held]
    rows += [
        _at_slice(job, stored, servers)
        for job, stored in slices
        if selection.incarnations is None or _incarnation(stored) in selection.incarnations
    ]
    rows.sort(key=lambda row: (row.since or LAST, row.id))
    jobs = len(held) if len(held) < wanted else busy.count_held(selection)
    count = Count.of(jobs + len(rows) - len(held))
    shown = rows[asked.skip : asked.skip + asked.size]
    more = len(rows) > asked.skip + asked.size
    return Found(asked, shown, count, count, more, _unread(unread) if unread else None)


def _unread(jobs: int) -> str:
    return (
        "More batch jobs are in work than are looked at in one go: the workers at "
        f"{jobs} of them are shown when this page is next brought up to date."
    )


def _incarnation(stored: Stored) -> str:
    return str(stored.get("claimed_by") or "").partition(".")[0]


def _at_job(job: Stored, servers: dict[str, Server]) -> Busy:
    return Busy(
        id=str(job["_id"]),
        job=job,
        worker_name=str(job.get("worker_name") or job.get("claimed_by") or ""),
        server=servers.get(_incarnation(job)),
        since=job.get("started_at"),
    )


def _at_slice(job: Stored, stored: Stored, servers: dict[str, Server]) -> Busy:
    first, size = stored["_id"], stored.get("size") or 1
    return Busy(
        id=f"{job['_id']}-{first}",
        job=job,
        worker_name=str(stored.get("worker_name") or stored.get("claimed_by") or ""),
        server=servers.get(_incarnation(stored)),
        since=stored.get("started_at"),
        slice=(first, first + size - 1),
    )


def as_json(row: Busy) -> dict[str, Any]:
    """Return a row as JSON."""
    return {
        "id": row.id,
        "worker": row.worker_name,
        "server": row.server and row.server.name,
        "job_id": row.job_id,
        "class": row.class_name,
        "state": row.icon,
        "description": row.description,
        "started_at": row.since and row.since.isoformat(),
        "phase": row.phase,
        "records": row.slice,
    }
