"""The kernel's own signs for the verdict: servers, and jobs that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import counted, relative, span
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.job import Job
from rocketjob.model.record import HISTORY
from rocketjob.queue.dispatch import ORDER
from rocketjob.server.checks import PROBLEM, WARNING, Check, Finding, Patient
from rocketjob.server.server import Server
from rocketjob.server.waiting_checks import RESUME
from rocketjob.store import Collection, Filter, Stored

LONG_WAIT = timedelta(minutes=10)
LONG_STOP = timedelta(minutes=5)
COUNTED = 10_000  # nobody reads more, and counting millions takes long
MOST_PRIORITIES = 8  # in which the oldest job is looked for
MOST_OLDEST = 20  # of each
OLDEST = "the queue.oldest"  # in the patient's memory: what is stored of the job; None without any
WAITING = (*("_id", "_type", "priority", "created_at", "run_at", HISTORY), "throttled_text")


def kernel_signs() -> list[Check]:
    """Return the kernel's own signs."""
    return [
        Check("servers", servers),
        Check("the queue", oldest),
    ]


def up_to(number: int, noun: str) -> str:
    """Say a number that was counted up to `COUNTED` + 1."""
    return f"over {counted(COUNTED, noun)}" if number > COUNTED else counted(number, noun)


# --- servers -------------------------------------------------------------------------------------


def servers(patient: Patient) -> Iterator[Finding]:
    """Look for servers that are dead, paused or stopping for long, and for work that has none."""
    dead = [server for server in patient.servers if server.seems_dead()]
    living = [server for server in patient.servers if server not in dead]
    for server in dead:
        message = f"the server {server.name} is dead: its last heartbeat was "
        message += relative(server.heartbeat_at) or "never"
        advice = "another server takes its work back; is one running? rocketjob servers list"
        yield Finding("servers", PROBLEM, message, advice, {"server": server.name})
    able = [server for server in living if server.state != "stopping"]
    if not able and (due := _due(patient)):
        message = f"no server is running, and {up_to(due, 'job')} waiting"
        advice = "start one: rocketjob server --app ..."
        yield Finding("servers", PROBLEM, message, advice, {"waiting": due})
    elif able and all(server.state == "paused" for server in able):
        how = "draining" if all(server.is_draining for server in able) else "paused"
        message = f"all servers are {how}" if len(able) > 1 else f"{able[0].name} is {how}"
        yield Finding("servers", WARNING, message, RESUME)
    yield from _stopping(living)


def _due(patient: Patient) -> int:
    jobs = patient.store.collection(COLLECTION)
    return jobs.count_documents(Job.queued_now().filter(), limit=COUNTED + 1)


def _stopping(living: list[Server]) -> Iterator[Finding]:
    for server in living:
        at = server.stopping_at
        if server.state == "stopping" and at is not None and at < clock.now() - LONG_STOP:
            message = f"{server.name} has been stopping for {span(_seconds_since(at))}"
            advice = f"see what it waits for: rocketjob servers dump {server.name}"
            yield Finding("servers", WARNING, message, advice, {"server": server.name})


# --- jobs that wait ------------------------------------------------------------------------------


def oldest(patient: Patient) -> Iterator[Finding]:
    """Look for a job that waits for long, among the oldest of the most urgent priorities."""
    found = [*_oldest_of_each(patient.store.collection(COLLECTION))]
    longest = patient.memory[OLDEST] = min(found, key=waiting_since, default=None)
    if longest is None:
        return
    since = waiting_since(longest)
    if since < clock.now() - LONG_WAIT:
        held = f", held back: {text}" if (text := longest.get("throttled_text")) else ""
        yield Finding(
            "the queue",
            WARNING,
            f"{longest['_type']} has been waiting for {span(_seconds_since(since))}{held}",
            f"ask why: rocketjob jobs explain {longest['_id']}",
            {"id": longest["_id"], "since": since},
        )


def _oldest_of_each(jobs: Collection) -> Iterator[Stored]:
    """Yield the oldest jobs that are due of each priority, with a read for each."""
    less_urgent: Filter = {}
    for _ in range(MOST_PRIORITIES):
        filter = {**Job.queued_now().filter(), **less_urgent}
        fields = dict.fromkeys(WAITING, 1)
        some = list(jobs.find(filter, fields, sort=ORDER, limit=MOST_OLDEST))
        if not some:
            return
        first = some[0].get("priority")
        yield from (stored for stored in some if stored.get("priority") == first)
        less_urgent = {"priority": {"$gt": first}}


def waiting_since(stored: Stored) -> datetime:
    """Return since when a stored job could run: it was created, was due, or was queued again."""
    history: Any = stored.get(HISTORY)
    last = history[-1] if isinstance(history, list) and history else None
    queued_at = last.get("at") if isinstance(last, Mapping) else None
    times = [stored.get("created_at"), stored.get("run_at"), queued_at]
    known = [at for at in times if isinstance(at, datetime)]  # people edit documents by hand
    return max(known) if known else clock.now()


def _seconds_since(at: datetime) -> float:
    return clock.now().timestamp() - at.timestamp()
