"""`job_created` and `job_removed`: plugins learn which jobs come and go, and why they go."""

import logging
from datetime import timedelta

import pytest

from rocketjob import Job, ValidationError, after, hookimpl, only_for
from rocketjob.jobs.steering import steer
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.housekeeping import HousekeepingJob
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.singleton import Singleton
from support.jobs import KeptJob, PassingJob, job_in
from support.runtime import count, eventually, running_pool


class Register:
    """Notes which jobs come and go, and whether they are stored at that moment."""

    def __init__(self):
        self.came, self.went = [], []

    @hookimpl
    def job_created(self, job):
        self.came.append((type(job).__name__, Job.where(id=job.id).exists()))

    @hookimpl
    def job_removed(self, job, why):
        self.went.append((type(job).__name__, why, Job.where(id=job.id).exists()))


class HourlySeriesJob(Cron, Job):
    cron_schedule = "0 * * * *"

    def perform(self): ...


class RemovedSeriesJob(HourlySeriesJob):
    cron_after_start = True


class EternalJob(Restart, Job):
    def perform(self): ...


class LonelyJob(Singleton, Job):
    def perform(self): ...


class AbortedAwayJob(Job):
    def perform(self): ...

    def removed_by(self, event):
        return event == "abort"


class WithAftersJob(Job):
    seen: int = 0

    @after("complete")
    def _afterwards(self):
        self.seen = 1

    @after("destroy")
    def _destroyed(self):
        PassingJob.first().destroy()

    def perform(self): ...


class ComingLinesJob(Batch, Job):
    def perform(self, line): ...


@pytest.fixture
def register(rocketjob):
    plugin = Register()
    rocketjob.plugins.register(plugin, "register")
    return plugin


# --- created ----------------------------------------------------------------------------------


def test_each_new_job_is_told_of_once_it_is_stored(rocketjob, register):
    KeptJob.create()
    KeptJob(number=1).save()
    KeptJob.create_many([{}, {}])
    KeptJob.perform_later()
    KeptJob().abort()
    KeptJob().save_with(KeptJob())
    job = ComingLinesJob()
    job.upload(["a"])
    job.save()
    assert register.came == [("KeptJob", True)] * 8 + [("ComingLinesJob", True)]


def test_what_was_not_stored_is_not_told_of(rocketjob, register):
    LonelyJob.create()
    with pytest.raises(ValidationError):
        LonelyJob.create()
    with pytest.raises(ValidationError):
        KeptJob.create_many([{}, {"priority": 0}])
    KeptJob().perform_now()
    job = KeptJob.create()
    job.update(number=2)
    assert register.came == [("LonelyJob", True), ("KeptJob", True)]


@pytest.mark.parametrize("cls", [HourlySeriesJob, RemovedSeriesJob, EternalJob])
def test_the_next_of_a_series_is_told_of(rocketjob, register, cls):
    cls.create()
    rocketjob.travel(timedelta(hours=1))
    rocketjob.work_off(1)
    assert register.came == [(cls.__name__, True)] * 2


# --- removed ----------------------------------------------------------------------------------


def test_a_job_that_is_removed_when_it_completes(rocketjob, register):
    PassingJob.create()
    rocketjob.work_off()
    assert register.went == [("PassingJob", "completed", False)]


def test_what_its_callbacks_remove_is_not_taken_for_completed(rocketjob, register):
    PassingJob.create(run_at=timedelta(days=1))
    WithAftersJob.create()
    rocketjob.work_off()
    assert sorted(register.went) == [
        ("PassingJob", "destroyed", False),
        ("WithAftersJob", "completed", False),
    ]


def test_a_batch_job(rocketjob, register):
    job = ComingLinesJob()
    job.upload(["a"])
    job.save()
    rocketjob.work_off()
    assert register.went == [("ComingLinesJob", "completed", False)]


def test_one_that_an_abort_removes(rocketjob, register):
    AbortedAwayJob.create().abort()
    assert register.went == [("AbortedAwayJob", "aborted", False)]


def test_one_that_was_not_started_in_time(rocketjob, register):
    KeptJob.create(expires_at=timedelta(hours=1))
    rocketjob.travel(timedelta(hours=2))
    assert rocketjob.work_off() == 0
    assert register.went == [("KeptJob", "expired", False)]


def test_one_that_somebody_removes(rocketjob, register):
    KeptJob.create().destroy()
    KeptJob.create().delete()
    KeptJob.create()
    assert KeptJob.all().destroy_all() == 1
    steer(KeptJob.create().id, "destroy", expected="queued")
    assert register.went == [("KeptJob", "destroyed", False)] * 4


def test_one_that_is_gone_already_is_not_told_of_again(rocketjob, register):
    job = KeptJob.create()
    KeptJob.find(job.id).destroy()
    job.destroy()
    KeptJob().destroy()
    assert len(register.went) == 1


def test_housekeeping(rocketjob, register):
    job_in("aborted")
    job = job_in("aborted")
    job.collection().update_one({"_id": job.id}, {"$set": {"_type": "NotLoadedHereJob"}})
    rocketjob.travel(timedelta(days=30))
    HousekeepingJob(aborted_retention=timedelta(days=7)).perform_now()
    assert sorted(register.went) == [
        ("KeptJob", "housekeeping", False),
        ("UnknownJob", "housekeeping", False),
    ]


def test_jobs_that_are_written_in_one_group_are_each_told_of(file_store):
    register = Register()
    file_store.plugins.register(register, "register")
    PassingJob.create_many([{}] * 40)
    with running_pool(file_store):
        eventually(lambda: count() == 0 and len(register.went) == 40)
    assert set(register.went) == {("PassingJob", "completed", False)}


# --- who is told ------------------------------------------------------------------------------


def test_an_observer_that_fails_is_logged_and_the_others_are_told(rocketjob, register, caplog):
    class Failing:
        @hookimpl
        def job_created(self, job):
            raise KeyError("oops")

        @hookimpl
        def job_removed(self, job):
            raise KeyError("oops")

    rocketjob.plugins.register(Failing(), "failing")
    with caplog.at_level(logging.ERROR):
        PassingJob.create()
        rocketjob.work_off()
    assert (len(register.came), len(register.went)) == (1, 1)
    said = [record.message for record in caplog.records if "The plugin failing" in record.message]
    assert ["job_created" in each for each in said] == [True, False]
    assert "job_removed" in said[1]


def test_only_the_classes_that_it_is_for_are_told_of(rocketjob):
    seen = []

    class Few:
        @hookimpl
        @only_for(PassingJob)
        def job_created(self, job):
            seen.append("came")

        @hookimpl
        @only_for(PassingJob)
        def job_removed(self, job):
            seen.append("went")

    rocketjob.plugins.register(Few())
    PassingJob.create()
    KeptJob.create().destroy()
    rocketjob.work_off()
    assert seen == ["came", "went"]
