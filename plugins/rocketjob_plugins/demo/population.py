"""A store with something of everything, to look at: `rocketjob demo --web`.

Jobs in every state, a batch job in work, failures, schedules, servers in every state (one of them
dead), and directory entries. Nothing is performed: `Life` moves it on a little, as servers would.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.job import Job
from rocketjob.model.fields import field
from rocketjob.server.server import Server
from rocketjob.states import history
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.cron.job import RUNS
from rocketjob_plugins.demo import counted
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.retry import Retry

HOSTS = (
    "batch-01:34521",
    "batch-02:51002",
    "web-03:22981",
    "batch-04:40110",
    "batch-06:60333",
    "batch-07:1180",
)
DEAD = HOSTS[4]
PEOPLE = ("Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Alan Kay")
SLICES = 120
SLICE_SIZE = 1000


class DemoMailJob(Retry, Job):
    """Sends one letter."""

    destroy_on_complete = False
    pausable = True
    login: str | None = field(default=None, description="who asked for it")
    recipient: str = field(user_editable=True, description="whom it goes to")
    template: str = field(default="welcome", user_editable=True)

    def perform(self) -> None:
        """Send nothing: nobody performs the jobs of this demo."""


class DemoReportJob(Cron, Job):
    """Makes a report, on a schedule."""

    destroy_on_complete = False
    region: str = field(default="eu", user_editable=True)

    def perform(self) -> None:
        """Report nothing."""


class DemoImportJob(Statistics, Batch, Job):
    """Imports a file of customers."""

    destroy_on_complete = False
    input_category = InputCategory(slice_size=SLICE_SIZE, format="csv")
    output_category = OutputCategory()
    region: str = field(default="eu", user_editable=True)

    def perform(self, row: Any) -> Any:
        return row


def populate() -> None:
    """Fill the store of this process; what an earlier call stored is removed first."""
    remove()
    rng = random.Random(7)
    _servers()
    _mails(rng)
    _reports()
    _imports()
    _say_what_is_in_work()
    _entries()
    counted.count(rng)


def remove() -> None:
    """Remove what `populate` stores."""
    for job_class in (DemoMailJob, DemoReportJob, DemoImportJob):
        job_class.destroy_all()
    Server.where({"name": {"$in": list(HOSTS)}}).delete_all()
    counted.forget()
    names = [name for name, *_ in ENTRIES]
    DirmonEntry.where({"name": {"$in": names}, "job_class_name": ENTRY_CLASS}).delete_all()


# --- jobs ------------------------------------------------------------------------------------


def _put(job: Job, state: str, age: timedelta, *events: str, **stored: Any) -> None:
    """Store a new job in a state, as if it had been led there some time ago."""
    now = clock.now()
    created = now - age * 1.5
    values: dict[str, Any] = {"state": state, "created_at": created, **stored}
    if state != "queued":
        values.setdefault("started_at", now - age * 1.2)
    if state not in ("queued", "running"):
        values.setdefault("completed_at", now - age)
    entries = [
        history.entry(event, _after(event, state), now - age * (1.2 - 0.2 * i), HOSTS[0] + ":1")
        for i, event in enumerate(events)
    ]
    job.save()
    update = {"$set": {**values, "history": entries}}
    job.collection().update_one({"_id": job.id}, update)


def _held_by(host: int, process: int) -> dict[str, Any]:
    """Return what is stored of something that a process of a server has in work."""
    incarnation = Server.where(name=HOSTS[host]).first().incarnation  # type: ignore[union-attr]
    return {"worker_name": f"{HOSTS[host]}:{process}", "claimed_by": f"{incarnation}.{process}"}


def _after(event: str, state: str) -> str:
    return {"start": "running", "fail": "failed", "pause": "paused", "abort": "aborted"}.get(
        event, state
    )


def _error(name: str, message: str, *lines: str) -> dict[str, Any]:
    backtrace = ["Traceback (most recent call last):", *lines, f"{name}: {message}"]
    cause = {"class_name": "OSError", "message": "[Errno 110] Connection timed out"}
    error = {"class_name": name, "message": message, "backtrace": backtrace}
    return {**error, "worker_name": f"{HOSTS[1]}:2", "cause": {**cause, "backtrace": []}}


def _mails(rng: random.Random) -> None:
    smtp = _error(
        "TimeoutError",
        "smtp.example.com did not answer in 30 s",
        '  File "/srv/app/jobs/mail.py", line 31, in perform\n    deliver(letter)',
        '  File "/srv/app/mail.py", line 88, in deliver\n    connection.send(letter)',
    )
    for number in range(64):
        person = rng.choice(PEOPLE)
        job = DemoMailJob(
            recipient=f"{person.split()[0].lower()}@example.com",
            description=f"Letter to {person}",
            priority=rng.choice((20, 40, 50, 70)),
        )
        age = timedelta(seconds=rng.randint(20, 40_000))
        state = ("completed", "queued", "failed", "completed", "queued")[number % 5]
        if state == "failed":
            _put(job, state, age, "start", "fail", exception=smtp, failure_count=rng.randint(1, 4))
        elif state == "completed":
            _put(job, state, age, "start", "complete")
        else:
            _put(job, state, age)
    for number, state in enumerate(("running",) * 5 + ("paused",) * 3 + ("aborted",) * 2):
        job = DemoMailJob(recipient="team@example.com", description=f"Newsletter {number + 1}")
        held = _held_by((0, 1, 4)[number % 3], number + 3) if state == "running" else {}
        event = {"running": "start", "paused": "pause", "aborted": "abort"}[state]
        _put(job, state, timedelta(minutes=4 + number * 7), event, **held)
    for hours in (1, 9, 30):
        later = clock.now() + timedelta(hours=hours)
        DemoMailJob.create(recipient="all@example.com", description="Invitation", run_at=later)


def _reports() -> None:
    for schedule, region in (("0 6 * * 1-5 America/New_York", "us"), ("0 7 * * * UTC", "eu")):
        job = DemoReportJob.create(
            cron_schedule=schedule, region=region, description=f"Daily report {region}"
        )
        change = {"$set": {RUNS: _runs_before(job, failed=2 if region == "us" else 9)}}
        job.collection().update_one({"_id": job.id}, change)


def _runs_before(job: DemoReportJob, failed: int) -> list[dict[str, Any]]:
    """Return what is remembered of the runs of a series before a job; one of them has failed."""
    runs: list[dict[str, Any]] = []
    due = job.schedule().previous_time(clock.now())
    for number in range(8):
        state = "failed" if number == failed else "completed"
        ended = due + timedelta(seconds=31 + 3 * number)
        times = {"occurrence": due, "started_at": due, "ended_at": ended}
        runs.append({"id": ObjectId(), "state": state, **times})
        due = job.schedule().previous_time(due)
    return runs[::-1]


# --- batch jobs ------------------------------------------------------------------------------


def _imports() -> None:
    _import("acme.csv", "running", timedelta(minutes=26), done=70, active=9, failed=4)
    _import("globex.csv", "paused", timedelta(hours=3), done=40, active=0, failed=0)
    _import("initech.csv", "failed", timedelta(hours=5), done=112, active=0, failed=8)
    _import("umbrella.csv", "completed", timedelta(hours=7), done=SLICES, active=0, failed=0)


def _import(name: str, state: str, age: timedelta, *, done: int, active: int, failed: int) -> None:
    """Store a batch job with slices of a few records that stand for a thousand."""
    job = DemoImportJob(description=f"Customers of {name}", priority=30)
    job.input_category_for("main").file_name = f"/in/customers/{name}"
    for start in range(done, SLICES):
        job.input.insert(_rows(start if start < done + failed else None), start * SLICE_SIZE + 1)
    slices, first = job.input.collection, done * SLICE_SIZE
    error = _error("ValueError", "state 'ZZ' is not known", '  File "/srv/app/jobs/imports.py"')
    for number in range(failed):
        slices.update_one(
            {"_id": first + number * SLICE_SIZE + 1},
            {"$set": {"state": "failed", "failure_count": 1, "exception": error, **_AT_BAD}},
        )
    for number in range(failed, failed + active):
        changes = {"state": "running", "started_at": clock.now() - timedelta(seconds=number)}
        changes |= {**_held_by(number % 2, number + 1), "size": SLICE_SIZE}
        slices.update_one({"_id": first + number * SLICE_SIZE + 1}, {"$set": changes})
    stored: dict[str, Any] = {
        "record_count": SLICES * SLICE_SIZE,
        "statistics": {"customers": {"new": done * 640, "known": done * 360}},
    }
    if state != "completed":
        stored["sub_state"] = "processing"
    events = ("start",) if state == "running" else ("start", _event_to(state))
    _put(job, state, age, *events, **stored)


BAD = 5  # the row, from 0, that a failed slice could not process
_AT_BAD = {"processing_record_number": BAD + 1}


def _rows(number: int | None) -> list[str]:
    """Return the rows of the slice of this number, one of which is bad; or of any other slice."""
    if number is None:
        return ["1,Jane,Doe,CA"]
    people = [(PEOPLE * 3)[n].replace(" ", ",") for n in range(12)]
    rows = [f"{number * SLICE_SIZE + n},{person},CA" for n, person in enumerate(people, 1)]
    rows[BAD] = rows[BAD].replace(",CA", ",\x00ZZ")
    return rows


def _event_to(state: str) -> str:
    return {"paused": "pause", "failed": "fail", "completed": "complete"}[state]


# --- servers and entries ---------------------------------------------------------------------


def _servers() -> None:
    states = ("running", "running", "paused", "stopping", "running", "starting")
    for name, state in zip(HOSTS, states, strict=True):
        host, _, pid = name.partition(":")
        server = Server(name=name, host=host, pid=int(pid), max_workers=10)
        server.state = state
        age = timedelta(minutes=56) if name == DEAD else timedelta(seconds=4)
        if state != "starting":
            server.started_at = clock.now() - timedelta(hours=3)
        server.classes = [DemoImportJob.__name__, DemoMailJob.__name__, DemoReportJob.__name__]
        server.heartbeat = _beat(age, 10 if state in ("running", "paused") else 0)
        server.save()


def _beat(age: timedelta, workers: int) -> dict[str, Any]:
    return {"updated_at": clock.now() - age, "number": 700, "workers": workers, "performing": []}


def _say_what_is_in_work() -> None:
    """Let the heartbeats say what the stored jobs and slices say of their servers."""
    for server in Server.where({"name": {"$in": list(HOSTS)}}):
        held = {"claimed_by": {"$regex": f"^{server.incarnation}[.]"}}
        ids = [str(job.id) for job in DemoMailJob.where(held)]
        for job in DemoImportJob.running():
            ids += [f"{job.id}/{slice_.id}" for slice_ in job.input.where(held)]
        change = {"$set": {"heartbeat.performing": ids}}
        Server.collection().update_one({"_id": server.id}, change)


ENTRIES: tuple[tuple[str, str, str], ...] = (
    ("Orders", "/in/orders/*.csv", "enabled"),
    ("Customers", "/in/customers/**/*.{csv,txt}", "enabled"),
    ("Prices", "/in/prices/*.psv", "pending"),
    ("Old exports", "/in/exports/*.txt", "disabled"),
    ("Restricted uploads", "/etc/*.conf", "failed"),
)

ENTRY_CLASS = DemoImportJob.__name__


def _entries() -> None:
    for name, pattern, state in ENTRIES:
        entry = DirmonEntry.create(
            name=name, pattern=pattern, job_class_name=ENTRY_CLASS, properties={"region": "eu"}
        )
        changes: dict[str, Any] = {"state": state}
        if state == "failed":
            error = JobException("PermissionError", "/etc is outside of dirmon_allowed_paths")
            changes["exception"] = {"class_name": error.class_name, "message": error.message}
        entry.collection().update_one({"_id": entry.id}, {"$set": changes})


class Life:
    """Moves the populated store on: one step is about a second of work of its servers."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> None:
        """Beat, finish a slice, take the next, and let a letter come and go."""
        self.steps += 1
        self._beat(clock.now())
        for job in DemoImportJob.running():
            self._work(job)
        if self.steps % 3 == 0:
            self._letters()

    def _beat(self, now: datetime) -> None:
        living = {"name": {"$in": [name for name in HOSTS if name != DEAD]}}
        change = {"$set": {"heartbeat.updated_at": now}, "$inc": {"heartbeat.number": 1}}
        Server.collection().update_many(living, change)

    def _work(self, job: DemoImportJob) -> None:
        slices = job.input.collection
        done = slices.find_one({"state": "running"}, sort=[("_id", 1)])
        if done is not None and slices.count_documents({}) > SLICES // 4:
            slices.delete_one({"_id": done["_id"], "state": "running"})
            changes = {"state": "running", "started_at": clock.now()}
            changes |= {name: done.get(name) for name in ("worker_name", "claimed_by", "size")}
            slices.find_one_and_update({"state": "queued"}, {"$set": changes}, sort=[("_id", 1)])
        else:  # begin again, so that there is always something to see
            slices.update_many({"state": "failed"}, {"$set": {"state": "queued"}})

    def _letters(self) -> None:
        job = DemoMailJob.queued_now().order_by("created_at").first()
        if job is not None:
            job.start(f"{HOSTS[0]}:1")
            job.complete()
        DemoMailJob.create(recipient="new@example.com", description="Letter to a new customer")
