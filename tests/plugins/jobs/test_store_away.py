"""Where the store is out of reach while a job works or ends, it waits; nothing fails for that."""

import inspect
import os
from datetime import timedelta
from typing import ClassVar

import pytest

from rocketjob import Job, StoreUnavailable, after, before, waits_for_store
from rocketjob.base.errors import HookFailed
from rocketjob.worker import prepared
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.dirmon import DirmonEntry, DirmonJob
from rocketjob_plugins.dirmon.intake import Intake
from rocketjob_plugins.dirmon.local_folder import LocalFolder
from rocketjob_plugins.files import UploadFileJob
from rocketjob_plugins.housekeeping import HousekeepingJob
from support.runtime import FlakyStore, queue_of


class AwayLinesJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, line): ...


class AwayNameJob(Job):
    destroy_on_complete = False
    upload_file_name: str | None = None

    def perform(self): ...


class AwayUserJob(Job):
    destroy_on_complete = False
    error: ClassVar = StoreUnavailable("the cable is out")
    seen: ClassVar = 0

    @waits_for_store
    def perform(self):
        type(self).seen += 1
        if self.seen == 1:
            raise self.error


class AwayAsyncUserJob(Job):
    destroy_on_complete = False
    seen: ClassVar = 0

    @waits_for_store
    async def perform(self):
        type(self).seen += 1
        if self.seen == 1:
            raise StoreUnavailable("the cable is out")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "in" / "a.txt"
    path.parent.mkdir()
    path.write_text("one\ntwo\n")
    return path


def away_once(monkeypatch, owner, name, after=False):
    """Let the first call of a function fail as at a store that is away, though made if `after`."""
    real, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(name)
        if len(calls) > 1:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        raise StoreUnavailable("the cable is out")

    monkeypatch.setattr(owner, name, call)
    return calls


def copied(folder, source, target, hold):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    folder._copy(source, target, hold)


def later(rocketjob):
    rocketjob.travel(timedelta(seconds=6))
    rocketjob.work_off()


@pytest.mark.parametrize(
    "error", [StoreUnavailable("gone"), HookFailed("a", "x", StoreUnavailable("gone"))]
)
def test_a_job_that_waits_for_the_store_is_performed_again(rocketjob, monkeypatch, error):
    if isinstance(error, HookFailed):
        error.__cause__ = StoreUnavailable("gone")
    monkeypatch.setattr(AwayUserJob, "error", error)
    monkeypatch.setattr(AwayUserJob, "seen", 0)
    job = AwayUserJob.create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.failure_count) == ("queued", 0)
    assert job.history[-1].reason.startswith("the store was out of reach: ")
    later(rocketjob)
    assert job.reload().is_completed


def test_an_async_job_that_waits_for_the_store_is_performed_again(rocketjob, monkeypatch):
    monkeypatch.setattr(AwayAsyncUserJob, "seen", 0)
    assert inspect.iscoroutinefunction(AwayAsyncUserJob.perform)
    job = AwayAsyncUserJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.failure_count) == ("queued", 0)
    later(rocketjob)
    assert (job.reload().state, AwayAsyncUserJob.seen) == ("completed", 2)


def test_any_other_error_fails_it(rocketjob, monkeypatch):
    monkeypatch.setattr(AwayUserJob, "error", ConnectionError("another server"))
    monkeypatch.setattr(AwayUserJob, "seen", 0)
    job = AwayUserJob.create()
    rocketjob.work_off()
    assert job.reload().is_failed


def test_inline_the_error_is_the_callers(rocketjob, monkeypatch):
    monkeypatch.setattr(AwayUserJob, "seen", 0)
    with pytest.raises(StoreUnavailable, match="the cable is out"):
        AwayUserJob().perform_now()


@pytest.mark.parametrize("cls", [AwayLinesJob, AwayNameJob])
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after it"])
def test_an_upload_whose_last_write_got_no_answer_makes_one_job(rocketjob, text, cls, after):
    flaky = rocketjob.application._store = FlakyStore(rocketjob.store)
    upload = UploadFileJob.create(
        job_class_name=cls.__name__, upload_file_name=str(text), destroy_on_complete=False
    )
    flaky.fail("commit", after=after, when=lambda units: "job_created" in repr(units))
    rocketjob.work_off()
    assert flaky.left("commit") == 0
    upload.reload()
    assert (upload.state, upload.job_created) == ("queued", after)
    later(rocketjob)
    (job,) = cls.where()
    assert (job.id, job.state) == (upload.reload().job_id, "completed")
    assert upload.is_completed
    if cls is AwayLinesJob:
        assert job.record_count == 2


def test_an_upload_that_fails_for_good_does_not_say_that_its_job_was_created(
    rocketjob, text, monkeypatch
):
    def refused(self, other):
        raise ValueError("refused")

    upload = UploadFileJob.create(job_class_name="AwayLinesJob", upload_file_name=str(text))
    with monkeypatch.context() as patch:
        patch.setattr(UploadFileJob, "save_with", refused)
        rocketjob.work_off()
    assert (upload.reload().state, upload.job_created) == ("failed", False)
    upload.retry()
    rocketjob.work_off()
    assert AwayLinesJob.where().first().record_count == 2


@pytest.mark.parametrize("name", ["_claim", "_hold", "_start", "_abandoned"])
def test_a_scan_waits_and_takes_the_file_once(rocketjob, text, monkeypatch, name):
    entry = DirmonEntry(pattern=f"{text.parent}/*.txt", job_class_name="AwayNameJob", name="in")
    entry.save()
    entry.enable()
    scan = DirmonJob.create()
    later(rocketjob)
    if name == "_hold":  # is called while a file is copied to another disk
        monkeypatch.setattr(LocalFolder, "move", copied)
    calls = away_once(monkeypatch, Intake, name)
    for _ in range(4):
        rocketjob.travel(timedelta(minutes=5))
        rocketjob.work_off()
    assert len(calls) > 1
    assert entry.reload().is_enabled, entry.exception
    assert not text.exists()
    assert AwayNameJob.count() == 1
    assert not DirmonJob.where(state="failed").exists()
    assert scan.collection().count_documents({"_type": "DirmonJob", "state": "queued"}) == 1


def test_housekeeping_waits(rocketjob, monkeypatch):
    calls = away_once(monkeypatch, HousekeepingJob, "_remove_servers")
    job = HousekeepingJob.create()
    rocketjob.travel(timedelta(minutes=16))
    rocketjob.work_off()
    assert (len(calls), job.reload().state) == (1, "queued")
    later(rocketjob)
    assert (len(calls), job.reload().failure_count) == (2, 0)
    assert not HousekeepingJob.where(state="failed").exists()


# --- what every job has ----------------------------------------------------------------------


class AwaySeriesJob(Cron, Job):
    cron_schedule = "0 1 * * * UTC"
    destroy_on_complete = False
    performed: ClassVar[list] = []
    fails: ClassVar = False

    def perform(self):
        self.performed.append(self.id)
        if self.fails:
            raise ValueError("bad luck")


class AwayStartJob(Job):
    destroy_on_complete = False
    started: ClassVar = 0

    @after("start")
    def ask(self):
        type(self).started += 1
        if self.started == 1:
            raise StoreUnavailable("the cable is out")

    def perform(self): ...

    @before("complete")
    def say(self):
        raise StoreUnavailable("another cable")


class AwayRequeuedJob(Job):
    def perform(self): ...

    @before("requeue")
    def ask(self):
        raise StoreUnavailable("the cable is out")


class AwayEndJob(Batch, Job):
    destroy_on_complete = False
    asked: ClassVar = 0

    def perform(self, record): ...

    @after("batch")
    def ask(self):
        type(self).asked += 1
        if self.asked == 1:
            raise StoreUnavailable("the cable is out")


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(prepared, "RETRY_SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("fails", [False, True], ids=["completes", "fails"])
def test_a_series_goes_on_whose_end_could_not_ask_the_store(rocketjob, monkeypatch, at_once, fails):
    monkeypatch.setattr(AwaySeriesJob, "fails", fails)
    monkeypatch.setattr(AwaySeriesJob, "performed", [])
    job = AwaySeriesJob.create()
    calls = away_once(monkeypatch, Job, "edits_by_others")
    rocketjob.travel(timedelta(days=1))
    rocketjob.work_off()
    assert len(calls) > 1
    assert AwaySeriesJob.performed == [job.id]
    assert job.reload().state == ("failed" if fails else "completed")
    assert (job.exception is None) or job.exception.class_name == "ValueError"
    assert [each.id != job.id for each in AwaySeriesJob.where(state="queued")] == [True]


def test_a_job_whose_start_could_not_ask_the_store_is_started_again(
    rocketjob, monkeypatch, at_once
):
    monkeypatch.setattr(AwayStartJob, "started", 0)
    job = AwayStartJob.create()
    rocketjob.work_off()
    assert (job.reload().state, job.failure_count) == ("queued", 0)
    later(rocketjob)
    # What always says so, though the store answers, is no outage.
    assert (job.reload().state, job.exception.message) == ("failed", "another cable")


def test_a_job_is_not_reclaimed_while_its_callbacks_cannot_ask_the_store(rocketjob):
    job = AwayRequeuedJob.create()
    (claimed,) = queue_of(rocketjob).claim(1)
    with pytest.raises(StoreUnavailable):
        claimed.recover("it was killed", "gone", 5)
    assert (claimed.interruptions, job.reload().state) == (0, "running")


def test_a_batch_whose_end_could_not_ask_the_store_ends_later(rocketjob, monkeypatch):
    monkeypatch.setattr(AwayEndJob, "asked", 0)
    job = AwayEndJob()
    job.upload([1, 2, 3])
    job.save()
    rocketjob.work_off()
    assert (job.reload().state, AwayEndJob.asked) == ("queued", 1)
    rocketjob.travel(timedelta(minutes=2))
    rocketjob.work_off()
    assert (job.reload().state, AwayEndJob.asked) == ("completed", 2)
