"""`before_enqueue` and `job.meta`: plugins see, change and refuse each new job that is stored."""

import asyncio
import logging
from datetime import timedelta

import pytest
from click.testing import CliRunner

from rocketjob import (
    Job,
    JobRefused,
    PluginError,
    ValidationError,
    before,
    current_job,
    field,
    hookimpl,
    only_for,
    validate,
)
from rocketjob.base.errors import HookFailed
from rocketjob.base.log import FIELDS
from rocketjob.cli import make_cli
from rocketjob.jobs.meta import META_BYTES
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron, Schedule
from rocketjob_plugins.cron.schedules import sync
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.files import UploadFileJob
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.singleton import Singleton
from support.jobs import FailingJob, KeptJob, PassingJob, stored


class EnteredJob(Job):
    destroy_on_complete = False
    upload_file_name: str | None = None
    number: int = 0

    def perform(self, number=0): ...


class EnteredLinesJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, line): ...


class EnteredSeriesJob(Cron, Job):
    cron_schedule = "0 * * * *"
    destroy_on_complete = False

    def perform(self): ...


class EnteredEarlyJob(EnteredSeriesJob):
    cron_after_start = True


class EnteredAgainJob(Restart, Job):
    destroy_on_complete = False

    def perform(self): ...


class EnteredOnceJob(Singleton, Job):
    def perform(self): ...


class EnqueuedParentJob(Job):
    destroy_on_complete = False

    def perform(self):
        EnteredJob.create()


class Counting:
    """Counts on each job how often it was asked about."""

    @hookimpl
    def before_enqueue(self, job):
        job.meta["asked"] = job.meta.get("asked", 0) + 1 if job.is_new else "too late"


def create():
    EnteredJob.create(number=1)


def save_a_new_one():
    EnteredJob(number=1).save()


def save_unvalidated():
    EnteredJob(number=1).save(validate=False)


def create_if_valid():
    EnteredJob.create_if_valid(number=1)


def create_many():
    EnteredJob.create_many([{"number": 1}, EnteredJob(number=2)])


def perform_later():
    EnteredJob.perform_later(1)


def perform_later_of_a_builder():
    EnteredJob.set(priority=3).perform_later(number=1)


def from_properties():
    EnteredJob.from_properties({"number": "1"}).save()


def an_event_of_a_new_one():
    EnteredJob().abort()


def save_with_another():
    EnteredJob().save_with(EnteredJob(number=2))


def a_restart():
    EnteredJob(meta={"asked": 0}).create_restart()


def a_batch():
    job = EnteredLinesJob()
    job.upload(["a"])
    job.save()


def a_singleton():
    EnteredOnceJob.create()


def a_declared_schedule():
    sync([Schedule(EnteredSeriesJob, "0 6 * * *", "one")])


def a_command():
    done = CliRunner().invoke(make_cli(), ["enqueue", "EnteredJob", "number=1"])
    assert done.exit_code == 0, done.output


WAYS = [
    create,
    save_a_new_one,
    save_unvalidated,
    create_if_valid,
    create_many,
    perform_later,
    perform_later_of_a_builder,
    from_properties,
    an_event_of_a_new_one,
    save_with_another,
    a_restart,
    a_batch,
    a_singleton,
    a_declared_schedule,
    a_command,
]


@pytest.fixture
def counting(rocketjob):
    rocketjob.plugins.register(Counting(), "counting")
    return rocketjob


def asked(**filter):
    return [job.meta.get("asked") for job in Job.where(filter)]


# --- however it comes -------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_new_job_is_asked_about_once(counting, way):
    way()
    assert asked()
    assert set(asked()) == {1}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_job_that_is_refused_is_not_stored(rocketjob, way):
    class Closed:
        @hookimpl
        def before_enqueue(self, job):
            raise JobRefused("the shop is closed")

    rocketjob.plugins.register(Closed(), "closed")
    try:
        way()
    except (ValidationError, AssertionError) as error:
        assert "the shop is closed (plugin closed)" in str(error)
    else:
        assert way is create_if_valid
    assert Job.count() == 0


@pytest.mark.parametrize("cls", [EnteredSeriesJob, EnteredEarlyJob, EnteredAgainJob])
def test_the_next_of_a_series_is_asked_about(counting, cls):
    job = cls.create()
    counting.travel(timedelta(hours=1))
    counting.work_off(1)
    (successor,) = cls.queued()
    assert successor.id != job.id
    assert successor.meta == {"asked": 2}  # what it had is copied, as other fields are


def test_a_file_that_is_found_is_asked_about_and_so_is_the_job_that_gets_it(counting, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    counting.application.config.dirmon_roots = [str(tmp_path)]
    DirmonEntry.create(pattern=f"{tmp_path}/in/*", job_class_name="EnteredJob").enable()
    scan = DirmonJob()
    for _ in range(2):
        scan = DirmonJob(previous_file_names=scan.previous_file_names)
        scan.perform_now()
    assert [type(job) for job in Job.all()] == [UploadFileJob]
    counting.work_off(1)
    assert set(asked()) == {1}
    assert EnteredJob.count() == 1


def test_one_that_is_only_performed_is_not_asked_about(counting):
    job = EnteredJob()
    job.perform_now()
    assert job.meta == {}


def test_saving_changes_and_events_ask_nobody(counting):
    job = EnteredJob.create()
    job.update(number=5)
    job.pause()
    job.resume()
    assert job.reload().meta == {"asked": 1}


# --- changing ---------------------------------------------------------------------------------


def test_what_a_plugin_sets_is_validated_and_seen_by_callbacks(rocketjob):
    class Setting:
        @hookimpl
        @only_for(EnqueuedCheckedJob)
        def before_enqueue(self, job):
            job.number = 12

    rocketjob.plugins.register(Setting())
    job = EnqueuedCheckedJob.create()
    assert (job.number, job.seen, stored(job)["number"]) == (12, 12, 12)
    with pytest.raises(ValidationError, match="limit"):
        EnqueuedCheckedJob.create(limit=11)
    assert EnqueuedCheckedJob.count() == 1


class EnqueuedCheckedJob(KeptJob):
    limit: int = 20
    seen: int | None = None

    @validate
    def _limited(self):
        if self.number > self.limit:
            self.errors.add("number", "is above the limit")

    @before("create")
    def _see(self):
        self.seen = self.number


def test_a_trace_goes_on_to_the_jobs_that_a_job_creates_if_its_plugin_says_so(rocketjob):
    class Trace:
        @hookimpl
        def before_enqueue(self, job):
            parent = current_job()
            job.meta["trace"] = parent.meta["trace"] if parent else str(job.id)

    rocketjob.plugins.register(Trace())
    parent = EnqueuedParentJob.create(meta={"tenant": 7})
    rocketjob.work_off()
    (child,) = EnteredJob.all()
    assert child.meta == {"trace": str(parent.id)}  # nothing else is handed on
    assert parent.reload().meta == {"tenant": 7, "trace": str(parent.id)}


# --- refusing, and failing --------------------------------------------------------------------


def test_a_refusal_names_class_field_reason_and_plugin(rocketjob):
    class Tenants:
        @hookimpl
        def before_enqueue(self, job):
            if job.number == 7:
                raise JobRefused("tenant 7 is blocked", field="number")

    rocketjob.plugins.register(Tenants(), "tenants")
    with pytest.raises(JobRefused) as raised:
        EnteredJob.create(number=7)
    assert str(raised.value) == (
        "EnteredJob is refused: number: tenant 7 is blocked (plugin tenants)"
    )
    assert raised.value.errors == {"number": ["tenant 7 is blocked (plugin tenants)"]}
    with pytest.raises(ValidationError, match=r"\[1\].number: tenant 7 is blocked"):
        EnteredJob.create_many([{"number": 6}, {"number": 7}])
    assert EnteredJob.count() == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(lambda job: 1 / 0, "ZeroDivisionError"), (lambda job: job, "expected None: change the job")],
)
def test_a_plugin_that_fails_refuses_too_and_is_named(rocketjob, wrong, said):
    class Wrong:
        @hookimpl
        def before_enqueue(self, job):
            return wrong(job)

    rocketjob.plugins.register(Wrong(), "wrong")
    with pytest.raises(HookFailed, match=said) as raised:
        EnteredJob.create()
    assert isinstance(raised.value, PluginError)
    assert "The plugin wrong" in str(raised.value)
    assert EnteredJob.count() == 0


def test_a_successor_that_is_refused_is_left_out_and_its_predecessor_ends_well(rocketjob, caplog):
    class Closing:
        closed = False

        @hookimpl
        def before_enqueue(self, job):
            if self.closed:
                raise JobRefused("the shop is closed")

    plugin = Closing()
    rocketjob.plugins.register(plugin, "closing")
    job = EnteredAgainJob.create()
    plugin.closed = True
    with caplog.at_level(logging.ERROR):
        rocketjob.work_off()
    assert job.reload().is_completed
    assert EnteredAgainJob.count() == 1
    (record,) = [each for each in caplog.records if each.message == "not created"]
    assert "the shop is closed (plugin closing)" in getattr(record, FIELDS)["reason"]


@pytest.mark.parametrize("cls", [EnteredSeriesJob, EnteredEarlyJob, EnteredAgainJob])
def test_a_plugin_that_fails_does_not_end_a_series(rocketjob, cls):
    class Failing:
        fails = False

        @hookimpl
        def before_enqueue(self, job):
            if self.fails:
                raise KeyError("oops")

    plugin = Failing()
    rocketjob.plugins.register(plugin, "failing")
    job = cls.create()
    plugin.fails = True
    rocketjob.travel(timedelta(hours=1))
    rocketjob.work_off(1)
    assert job.reload().is_completed
    assert cls.queued().count() == 1
    (problem,) = rocketjob.plugins.problems
    assert "The plugin failing" in problem


# --- meta -------------------------------------------------------------------------------------


def test_meta_is_a_dict_that_every_job_has_and_that_is_stored_only_if_there_is_something(
    rocketjob,
):
    job = PassingJob.create()
    assert job.meta == {}
    assert "meta" not in stored(job)
    assert PassingJob.find(job.id).meta == {}
    job.meta["tenant"] = 7
    job.save()
    assert stored(job)["meta"] == {"tenant": 7}
    assert PassingJob.where({"meta.tenant": 7}).count() == 1
    del job.meta["tenant"]
    job.save()
    assert "meta" not in stored(job)
    assert PassingJob().meta is not PassingJob().meta


def test_meta_survives_failure_and_retry(rocketjob):
    job = FailingJob.create(meta={"tenant": 7})
    rocketjob.work_off()
    job.reload().retry()
    assert job.reload().meta == {"tenant": 7}


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"text": "x" * META_BYTES}, "must take at most 4,096 bytes, and takes 4,1"),
        ({"thing": object()}, "meta"),
        ({7: "x"}, "meta"),
        ("tenant 7", "meta: must be"),
        (None, "meta: must be"),
    ],
)
def test_meta_that_is_too_large_or_cannot_be_stored_is_refused(rocketjob, meta, said):
    with pytest.raises(ValidationError, match=said):
        PassingJob.create(meta=meta)


def test_a_class_may_have_a_field_meta_of_its_own(rocketjob):
    class OwnMetaJob(Job):
        meta: str = field(default="mine")

        def perform(self): ...

    job = OwnMetaJob.create()
    assert stored(job)["meta"] == "mine"


# --- the present job --------------------------------------------------------------------------


class NamingJob(Job):
    collect_output = True
    destroy_on_complete = False
    also: list[bool] = field(factory=list)

    @before("perform")
    def _before(self):
        self.also = [*self.also, current_job() is self]

    def perform(self):
        return {"id": current_job().id}


class AsyncNamingJob(NamingJob):
    async def perform(self):
        return {"id": (await asyncio.to_thread(current_job)).id, "also": current_job() is self}


@pytest.mark.parametrize("cls", [NamingJob, AsyncNamingJob])
@pytest.mark.parametrize("inline", [False, True])
def test_the_job_that_is_being_performed_is_known(rocketjob, cls, inline):
    job = cls.create()
    if inline:
        job.perform_now()
    else:
        rocketjob.work_off()
    job.reload()
    assert job.result["id"] == job.id
    assert job.also == [True]
    assert current_job() is None


def test_a_job_that_is_performed_within_another_is_known_meanwhile(rocketjob):
    class InnerNamingJob(NamingJob): ...

    class OuterNamingJob(NamingJob):
        def perform(self):
            inner = InnerNamingJob.create()
            inner.perform_now()
            return {"id": current_job().id, "inner": inner.result["id"] == inner.id}

    job = OuterNamingJob.create()
    rocketjob.work_off()
    assert job.reload().result == {"id": job.id, "inner": True}


def test_the_job_is_known_while_a_slice_is_performed(rocketjob):
    class NamingLinesJob(Batch, Job):
        destroy_on_complete = False
        collect_output = True

        def perform(self, line):
            return str(current_job().id)

    job = NamingLinesJob()
    job.upload(["a", "b"])
    job.save()
    rocketjob.work_off()
    assert [line for part in job.reload().output for line in part] == [str(job.id)] * 2
