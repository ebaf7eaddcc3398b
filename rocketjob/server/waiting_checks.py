"""Checks of `rocketjob doctor`: work that waits, and that nobody will do as things are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rocketjob.base import clock
from rocketjob.base.text import counted
from rocketjob.jobs import stuck
from rocketjob.jobs.claims import AWAITED, AWAITED_SECONDS, COLLECTION, UNCLAIMED
from rocketjob.jobs.job import Job
from rocketjob.server.checks import PROBLEM, WARNING, Finding, Patient
from rocketjob.server.server import Server

START_TIME = timedelta(seconds=30)  # in which a worker process should have imported its app
RESUME = "resume paused servers: rocketjob servers resume --yes"


def left_out(patient: Patient) -> Iterator[Finding]:
    """Look for due jobs of loaded classes that every server leaves out."""
    living = patient.living
    takers = [server.taken() for server in living if server.starts_jobs]
    if not takers:
        return  # it has been said
    known = {name for server in living for name in server.classes}
    waiting = {"$or": [Job.queued_now().filter(), UNCLAIMED]}
    alone = {"$and": [waiting, {"$nor": takers}, {"_type": {"$in": sorted(known)}}]}
    for name, count in patient.store.count_by(COLLECTION, "_type", alone).items():
        able = [server for server in living if name in server.classes]
        yield Finding(
            "jobs",
            PROBLEM,
            f"{name}: {counted(count, 'job')} due or to be joined, and every server with "
            f"the class leaves it alone: {'; '.join(map(_why_left_out, able))}",
            "correct the setting where, or start a server without it"
            if any(server.narrowed_by for server in able)
            else RESUME,
            {"class": str(name), "due": count},
        )


def _why_left_out(server: Server) -> str:
    if not server.starts_jobs:
        return f"{server.name} is {server.state}"
    why = [f"has where = {server.narrowed_by}"] if server.narrowed_by else []
    why += [f"is narrowed by {clause.name}: {clause.text}" for clause in server.clauses]
    return f"{server.name} {' and '.join(why)}"


def awaited(patient: Patient) -> Iterator[Finding]:
    """Look for due jobs for which a job waits that is being performed, with no worker left."""
    servers = [server for server in patient.living if server.starts_jobs]
    lately = clock.now() - timedelta(seconds=AWAITED_SECONDS)
    for stored in patient.store.collection(COLLECTION).find(
        {"$and": [Job.queued_now().filter(), {AWAITED: {"$gte": lately}}]}, limit=5
    ):
        able = [server for server in servers if stored["_type"] in server.classes]
        if not able or any(server.has_room_for(stored["_type"]) for server in able):
            continue
        yield Finding(
            "jobs",
            PROBLEM,
            f"{stored['_type']} {stored['_id']} is due; a job that runs waits for it with wait(), "
            "and every worker is busy: if all of them wait, none goes on",
            "start another server, or more workers: jobs that wait for others need some to spare",
            {"id": stored["_id"]},
        )


def hanging(patient: Patient) -> Iterator[Finding]:
    """Look for running jobs that have noted at which line they are stuck."""
    filter = {"state": "running", stuck.STUCK: {"$exists": True}}
    for stored in patient.store.collection(COLLECTION).find(filter, limit=100):
        if (found := stuck.of(stored)) is None:
            continue
        lines = found.get("stack") or []
        yield Finding(
            "jobs",
            WARNING,
            f"{stored['_type']} {stored['_id']} is stuck on {found.get('worker')}: "
            f"{stuck.place_of(lines)}",
            f"see its stack: rocketjob jobs show {stored['_id']}; give it a timeout, or abort it",
            {"id": stored["_id"], "at": str(found["at"]), "stack": lines},
        )


def without_workers(servers: list[Server], due: int) -> Iterator[Finding]:
    """Look for servers that live, and whose worker processes do not start."""
    for server in servers:
        if not server.starts_jobs or server.workers:
            continue
        is_late = server.started_at is not None and server.started_at < clock.now() - START_TIME
        if due or is_late:
            yield Finding(
                "servers",
                PROBLEM if is_late else WARNING,
                f"{server.name} is alive, and none of its worker processes is ready",
                "its log says why they end, or what their import of the app waits for",
                {"server": server.name, "workers": 0},
            )
