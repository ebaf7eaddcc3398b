"""The guide's examples, as a type checker sees them: there must be nothing to complain of."""

import re
from collections.abc import Generator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from time import monotonic
from typing import Any, Self, assert_type
from uuid import UUID

from bson import ObjectId

import rocketjob
from rocketjob import (
    Document,
    Job,
    after,
    around,
    before,
    field,
    hookimpl,
    now,
    validate,
    validators,
)
from rocketjob.testing import Sandbox
from rocketjob_plugins.batch import Batch


class Colour(Enum):
    RED = "red"


class ReportJob(Job):
    destroy_on_complete = False
    priority = 70

    username: str
    user_count: int = 0
    tags: list[str] = []
    report_date: date = field(factory=date.today, user_editable=True, copy_on_restart=True)
    title: str | None = field(factory=lambda job: f"for {job.username}")
    ssn: str | None = field(default=None, encrypted=True)

    def perform(self) -> dict[str, int]:
        self.logger.info("building", username=self.username)
        self.user_count = 123
        return {"calculation": 24 * 1000}


class RenamedJob(Job):
    formerly = ["OldNameJob", "old.module.OldNameJob"]
    schema_version = 2

    file_name: str = field(formerly="path")
    note: str | None = field(default=None, formerly=["remark", "comment"])

    @classmethod
    def upcast(cls, document: dict[str, Any]) -> dict[str, Any]:
        return document | {"note": "upcast"}

    def perform(self) -> None:
        assert_type(self.file_name, str)


class EveryTypeJob(Job):
    amount: Decimal | None = None
    span: timedelta = timedelta(0)
    uuid: UUID | None = None
    oid: ObjectId = field(factory=ObjectId)
    colour: Colour = Colour.RED
    two: tuple[str, int] = ("a", 1)
    unique: set[int] = field(factory=set)
    counts: dict[str, int] = {}
    mapping: Mapping[str, Any] = field(default={})
    pages: range = range(0)
    pattern: re.Pattern[str] | None = None
    anything: Any = None


class ImportJob(Job):
    def perform(self, file_name: str, *, dry_run: bool = False) -> None: ...


class AsyncImportJob(Job):
    async def perform(self, file_name: str) -> int:
        return len(file_name)


class ImportRowsJob(Batch, Job):
    def perform(self, row: dict[str, str]) -> None: ...


class BigJob(Batch, Job):
    canary_slices = 3
    failure_budget = 0.02

    def perform(self, row: dict[str, str]) -> None: ...


def look_at(job: BigJob) -> None:
    if job.is_held:
        assert_type(job.held_text, str | None)
        job.approve(failure_budget=0.05, reason="they are known")


class MyJob(Job):
    email: str = field(validator=validators.matches_re(r".+@.+"))
    count_of: int = field(default=1, validator=validators.in_range(1, 100))

    @before("start")
    def announce(self) -> None: ...

    @around("perform")
    def timed(self) -> Generator[None, Any, None]:
        t = monotonic()
        yield
        self.logger.info("took", seconds=monotonic() - t)

    @after("fail", when=lambda job: job.failure_count > 3)
    def page_someone(self) -> None: ...

    @validate
    def not_root(self) -> None:
        if self.email.startswith("root@"):
            self.errors.add("email", "must not be root")


@around("perform", on=Job)
def traced(job: Job) -> Generator[None, Any, None]:
    yield


class NotifySlack:
    slack_channel: str | None = field(default=None, user_editable=True, copy_on_restart=True)


class Customer(Document):
    collection_name = "customers"
    name: str

    def renamed(self, name: str) -> Self:
        return self.update(name=name)


@hookimpl
def state_changed(job: Job, event: str, source: str, target: str) -> None: ...


def use() -> None:
    job = ReportJob(username="Jack Jones", priority=5, run_at=now(), tags=["a"])
    assert_type(job.username, str)
    assert_type(job.tags, list[str])
    assert_type(job.title, str | None)
    assert_type(job.priority, int)
    assert_type(job.id, ObjectId)
    assert_type(job.state, str)
    assert_type(job.save(), ReportJob)
    assert_type(job.reload(), ReportJob)
    assert_type(job.update(priority=32, validate=False), ReportJob)
    assert_type(ReportJob.create(username="x", run_at=timedelta(hours=2)), ReportJob)
    assert_type(ReportJob.create_if_valid(username="x"), ReportJob | None)
    assert_type(ReportJob.create_many([{"username": "a"}]), list[ReportJob])
    assert_type(ReportJob.find("55aeaf03a26ec0c1bd00008d"), ReportJob)
    assert_type(ReportJob.first(), ReportJob | None)
    assert_type(ReportJob.where(report_date=date(2026, 1, 1)).first(), ReportJob | None)
    assert_type(ReportJob.count(), int)
    query = ReportJob.where({"priority": {"$lte": 25}}).order_by("-created_at").limit(10)
    for each in query.failed():
        assert_type(each, ReportJob)
    assert_type(query.exists(), bool)
    assert_type(query.pluck("id"), list[Any])
    assert_type(query.update_all(priority=10), int)
    job.perform_now()
    job.abort()
    job.abort(save=False)
    job.fail("reason")
    job.fail(RuntimeError())
    job.requeue("server")
    assert_type(job.may("retry"), bool)
    assert_type(job.is_queued, bool)
    assert_type(job.duration, str)
    assert_type(job.seconds, float)
    assert_type(job.status(), dict[str, Any])
    if job.exception:
        assert_type(job.exception.backtrace, list[str])
    assert_type([entry.event for entry in job.history], list[str])
    assert_type(ImportJob.perform_later("file.csv", dry_run=True), ImportJob)
    assert_type(AsyncImportJob.perform_later("file.csv"), AsyncImportJob)
    job.run_at = timedelta(hours=2)
    assert_type(job.run_at, datetime | None)
    builder = ImportJob.set(priority=5, run_at=timedelta(hours=2))
    assert_type(builder.perform_later("file.csv"), ImportJob)
    builder.perform_now("file.csv")
    assert_type(Customer(name="a").renamed("b"), Customer)
    assert_type(Customer.create(name="a"), Customer)
    assert_type(Customer.create_if_valid(name="a"), Customer | None)
    EveryTypeJob(colour=Colour.RED, two=("b", 2), counts={"a": 1})
    rocketjob.connect("sqlite:///jobs.db")


def test_report(rocketjob: Sandbox) -> None:
    assert_type(rocketjob.work_off(limit=1), int)
    rocketjob.travel(timedelta(hours=2))


async def use_async() -> None:
    job = await ReportJob.create_async(username="x", run_at=timedelta(hours=2))
    assert_type(job, ReportJob)
    assert_type(await ReportJob.create_many_async([{"username": "a"}]), list[ReportJob])
    assert_type(await ReportJob.find_async(job.id), ReportJob)
    assert_type(await ReportJob.first_async(), ReportJob | None)
    assert_type(await ReportJob.count_async(), int)
    assert_type(await job.wait_async(timeout=5), ReportJob)
    assert_type(await job.save_async(), ReportJob)
    assert_type(await job.update_async(priority=32, validate=False), ReportJob)
    assert_type(await job.reload_async(), ReportJob)
    assert_type(await job.destroy_async(), None)
    assert_type(await rocketjob.off_loop(job.abort, reason="asked for"), None)
    query = ReportJob.where(username="x").order_by("-created_at")
    assert_type(await query.first_async(), ReportJob | None)
    assert_type(await query.failed().list_async(), list[ReportJob])
    assert_type(await query.count_async(at_most=100), int)
    assert_type(await query.exists_async(), bool)
    assert_type(await query.pluck_async("id"), list[Any])
    assert_type(await query.update_all_async(priority=10), int)
    async for each in query:
        assert_type(each, ReportJob)
    assert_type(await ImportJob.perform_later_async("file.csv", dry_run=True), ImportJob)
    assert_type(await AsyncImportJob.perform_later_async("file.csv"), AsyncImportJob)
    assert_type(await ImportJob.set(priority=5).perform_later_async("file.csv"), ImportJob)
    assert_type(await Customer.create_async(name="a"), Customer)
