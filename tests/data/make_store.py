"""Makes `store-VERSION.db`: a store as the version that is installed leaves it.

    python tests/data/make_store.py tests/data/store-0.1.db

A file of an earlier version is never made again: `test_earlier_stores` shows that what it holds
still loads and runs.
"""

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import attrs

from rocketjob import Job, field
from rocketjob.server.server import Server
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory, Statistics
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.dirmon import DirmonEntry

MADE_AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
GONE = "5e4f3a2b1c0d9e8f.1"  # a process of a server that no longer exists
LINES = [f"line {number}" for number in range(1, 26)]


@attrs.define
class Address:
    street: str
    floors: list[int] = attrs.field(factory=list)


class EarlierOrderJob(Job):
    destroy_on_complete = False
    text: str = "an order"
    homes: list[Address] = field(factory=list)
    limits: dict[str, Address] = field(factory=dict)
    due: datetime | None = None
    fails: ClassVar[bool] = False

    def perform(self, *amounts: int) -> dict[str, Any]:
        if self.fails:
            raise ValueError(f"{self.text} cannot be delivered")
        return {"floors": sum(sum(home.floors) for home in self.homes) + sum(amounts)}


class EarlierNightlyJob(Cron, Job):
    cron_schedule = "0 3 * * * UTC"
    ran: ClassVar[list[datetime]] = []

    def perform(self) -> None:
        self.ran.append(self.scheduled_at)


class EarlierLinesJob(Statistics, Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=5)
    output_category = OutputCategory()
    stop: ClassVar[Any] = None

    def perform(self, line: str) -> str:
        self.statistics_inc("lines")
        if self.stop is not None and line == LINES[9]:
            self.stop.set()  # the worker ends after this slice
        return line.upper()


class EarlierImportJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=5)

    def perform(self, line: str) -> None:
        pass


def make(url: str) -> None:
    with sandbox(url) as made:
        made.freeze(MADE_AT)
        make_jobs(made)
        make_batch(made)
        EarlierNightlyJob.create()
        entry = DirmonEntry.create(
            name="orders", pattern="in/*.txt", job_class_name="EarlierImportJob", properties={}
        )
        entry.enable()
        DirmonEntry.create(name="others", pattern="other/*.txt", job_class_name="EarlierImportJob")
        Server.create(name="here:1", host="here", pid_namespace=None).started().pause()


def make_jobs(made: Any) -> None:
    EarlierOrderJob.create(text="completed", collect_output=True)
    made.work_off()
    EarlierOrderJob.fails = True
    for text in ("failed", "retried"):
        EarlierOrderJob.create(text=text)
    made.work_off()
    EarlierOrderJob.fails = False
    EarlierOrderJob.where(text="retried").first().retry()
    EarlierOrderJob.set(text="queued", collect_output=True).perform_later(1, 2)
    EarlierOrderJob.create(
        text="nested",
        collect_output=True,
        homes=[Address("Main Street", [1, 2]), Address("Back Lane", [4])],
        limits={"eu": Address("Rue", [8])},
        due=MADE_AT + timedelta(days=1),
    )
    EarlierOrderJob.create(text="scheduled", run_at=MADE_AT + timedelta(hours=1))
    EarlierOrderJob.create(text="paused").pause()
    EarlierOrderJob.create(text="aborted").abort()
    EarlierOrderJob.create(text="running", priority=1)
    made.queue.claimed_by, made.queue.worker_name = GONE, "gone:1:1"
    (running,) = made.queue.claim(1)
    assert running.text == "running"


def make_batch(made: Any) -> None:
    job = EarlierLinesJob(priority=2)
    job.upload(LINES)
    job.save()
    EarlierLinesJob.stop = made.worker.stopping
    made.work_off(limit=1)
    EarlierLinesJob.stop = None
    made.worker.stopping.clear()
    assert job.input.claim(GONE, "gone:1:1", 1, None, claimed_in="a")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.unlink(missing_ok=True)
    make(f"sqlite:///{path.resolve()}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
