"""Mixins and plugins, as a type checker sees them: there must be nothing to complain of."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, assert_type

import rocketjob
from rocketjob import Job, after, field, hookimpl, only_for, validate
from rocketjob.base.settings import Setting, whole
from rocketjob.plugins.manager import PluginManager
from rocketjob.testing import sandbox
from rocketjob.testing.mixin_contract import MixinContract
from rocketjob.testing.plugin_contract import PluginContract
from rocketjob_plugins.batch import (
    Batch,
    InputCategory,
    OutputCategory,
    Result,
    Results,
    Statistics,
    ThrottleWindows,
)
from rocketjob_plugins.batch.testing import LineFormatContract
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.processing_window import ProcessingWindow
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle, ThrottleDependentJobs, throttle
from rocketjob_plugins.transaction import Transaction


class TypedCronJob(Cron, Retry, Job):
    cron_schedule = "0 1 * * * America/New_York"
    retry_limit = 3
    retry_on = (ConnectionError,)
    retry_jitter = 0.1

    def perform(self) -> None: ...


class TypedWindowJob(ProcessingWindow, Job):
    processing_schedule = "30 8 * * * America/New_York"
    processing_duration = timedelta(hours=12)

    def perform(self) -> None: ...


class TypedThrottledJob(Throttle, Job):
    throttle_running_jobs = 25
    throttle_group = "mysql"

    @throttle
    def replica_lag_exceeded(self) -> bool:
        return False

    def perform(self, count: int) -> None: ...


class TypedLaterJob(ThrottleDependentJobs, Job):
    dependent_jobs = ["TypedCronJob"]

    def perform(self) -> None: ...


class TypedRestartedJob(Restart, Singleton, Job):
    unique_by = ("limit",)
    on_conflict = "return"
    limit: int = field(default=0, copy_on_restart=True)

    def perform(self) -> None: ...


class TypedTransactionJob(Transaction, Job):
    def transaction(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def perform(self) -> None: ...


class TypedReverseJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=100)
    output_category = OutputCategory()

    def perform(self, line: str) -> str:
        return line[::-1]


class TypedShortJob(Batch, Job):
    slice_size = 100
    collect_output = True
    collect_nil_output = False
    compress = True
    encrypt = False
    tabular_output_header = ["a", "b"]
    throttle_running_workers = 10

    def perform(self, row: dict[str, Any]) -> Result | Results | None:
        return Result(row, category="main")


class TypedEverythingJob(Cron, Retry, Statistics, ThrottleWindows, Throttle, Batch, Job):
    priority = 30
    cron_schedule = "@daily"
    throttle_running_jobs = 2
    output_categories = [OutputCategory(), OutputCategory(name="invalid")]
    customer: str = field(default="", user_editable=True)

    def perform(self, row: dict[str, str]) -> None:
        self.statistics_inc("invalid.missing_email")


class TypedMixin(Job, abstract=True):
    """A mixin of one's own."""

    __example__: ClassVar[dict[str, Any]] = {"weight": 1}
    weight: int
    late: timedelta | None = None

    @after("fail")
    def told(self) -> None:
        self.logger.error("failed", weight=self.weight)

    @validate
    def _weight(self) -> None:
        if self.weight < 0:
            self.errors.add("weight", "must not be negative")


class TypedMixedJob(TypedMixin, Retry, Job):
    late = timedelta(hours=1)

    def perform(self) -> None: ...


LIMIT = Setting("limit", 10, whole(1), "how many", table="typed")


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [LIMIT]


@hookimpl
@only_for(TypedMixin)
def state_changed(job: TypedMixin, event: str) -> None:
    assert_type(job.weight, int)


@hookimpl
def register_hookspecs(manager: PluginManager) -> None: ...


@hookimpl(wrapper=True)
def register_jobs() -> Generator[None, list[Any], list[Any]]:
    return (yield)


class TestTyped(PluginContract):
    plugin = "typed"
    needs = ["batch"]


class TestTypedMixin(MixinContract):
    mixin = TypedMixin
    attributes = {"weight": 1}

    def prepare(self, job: Job) -> None: ...


class TypedFormat:
    name = "typed"
    has_header = False

    def __init__(self, options: Mapping[str, Any]) -> None: ...
    def parse(self, line: str) -> Any:
        return line

    def parse_many(self, lines: Sequence[str]) -> list[Any]:
        return [*lines]

    def render(self, row: Any) -> str:
        return str(row)


class TestTypedFormat(LineFormatContract):
    format = TypedFormat
    rows = ("a", "b")


def use() -> None:
    hour, at = timedelta(hours=1), datetime(2026, 1, 1)
    assert_type(TypedCronJob.create(run_at=hour, expires_at=at, retry_limit=5), TypedCronJob)
    assert_type(TypedCronJob(cron_schedule=None).scheduled_at, datetime)
    TypedCronJob.create(run_at=None, expires_at=timedelta(minutes=5))
    TypedWindowJob.create(processing_duration=hour)
    assert_type(TypedThrottledJob.perform_later(5), TypedThrottledJob)
    assert_type(TypedThrottledJob.set(run_at=hour).perform_later(5), TypedThrottledJob)
    assert_type(TypedMixedJob.create(weight=5).weight, int)
    assert_type(TypedRestartedJob.create_if_valid(limit=5), TypedRestartedJob | None)
    job = TypedReverseJob()
    assert_type(job.upload(["one"]), int)
    job.save()
    job.run_at = hour
    job.expires_at = at
    assert_type(job.run_at, datetime | None)
    assert_type(TypedReverseJob.create(run_at=hour), TypedReverseJob)
    assert_type(TypedEverythingJob.create(customer="acme", run_at=hour), TypedEverythingJob)
    found = TypedEverythingJob.where({"priority": {"$lte": 25}}, customer="acme", priority=5)
    assert_type(found.first(), TypedEverythingJob | None)
    assert_type(
        found.where(state="failed").order_by("-created_at").first(), TypedEverythingJob | None
    )
    assert_type(Job.where(created_at=date(2026, 1, 1)).first(), Job | None)
    with sandbox(plugins=["retry"], typed={"limit": 5}) as made:
        assert_type(made.plugins, PluginManager)
        assert_type(rocketjob.settings("typed").limit, Any)
