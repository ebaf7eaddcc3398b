import os
import threading
import time
from datetime import timedelta

import pytest
from bson import ObjectId

from rocketjob import Job, ValidationError, after, before, events, field
from rocketjob.base import clock
from rocketjob.server.server import Server
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.housekeeping import HousekeepingJob

pytestmark = pytest.mark.both_stores

DAY = timedelta(days=1)
JOBS = int(os.environ.get("ROCKETJOB_HOUSEKEEPING_JOBS", "20000"))


class OldJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class OldBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record): ...


class TidyJob(Job):
    destroy_on_complete = False
    name: str = field(default="")
    removed = []

    def perform(self): ...

    @before("destroy")
    def refuse(self):
        if self.name == "stays":
            raise RuntimeError("in use")

    @after("destroy")
    def note(self):
        TidyJob.removed.append(self.name)


def make(state, age, cls=OldJob, **values):
    job = cls(**values).save()
    since = clock.now() - age
    job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": state, "created_at": since, "completed_at": since}}
    )
    return job.reload()


def states():
    return {state: Job.where(state=state, _type="OldJob").count() for state in STATES}


STATES = ("aborted", "completed", "failed", "paused", "queued")


@pytest.fixture
def aged(rocketjob):
    for state, days in [("aborted", (2, 8)), ("completed", (2, 8)), ("failed", (2, 15))]:
        for each in days:
            make(state, each * DAY)
    make("paused", 400 * DAY)
    make("paused", 15 * DAY)
    make("queued", 15 * DAY)
    make("queued", DAY)
    return rocketjob


def test_what_is_past_its_retention_is_removed_and_the_rest_stays(aged):
    HousekeepingJob().perform_now()
    assert states() == {"aborted": 1, "completed": 1, "failed": 1, "paused": 2, "queued": 2}


def test_each_retention_can_be_changed(aged):
    removed = HousekeepingJob(
        aborted_retention=None,
        completed_retention=DAY,
        failed_retention=None,
        paused_retention=100 * DAY,
        queued_retention=10 * DAY,
    ).perform_now()
    assert removed == {"completed": 2, "paused": 1, "queued": 1}
    assert states() == {"aborted": 2, "completed": 0, "failed": 2, "paused": 1, "queued": 1}


def test_running_jobs_are_never_touched(rocketjob):
    job = make("running", 900 * DAY)
    HousekeepingJob(queued_retention=timedelta(0), paused_retention=timedelta(0)).perform_now()
    assert job.reload().is_running


def test_it_is_a_cron_job_of_which_there_is_one(rocketjob):
    job = HousekeepingJob.create(failed_retention=None)
    assert job.cron_schedule == "0,15,30,45 * * * * UTC"
    assert job.priority == 25
    assert job.is_scheduled
    with pytest.raises(ValidationError):
        HousekeepingJob.create()
    with pytest.raises(ValidationError):
        HousekeepingJob.create(cron_schedule="1 * * * *")


def test_the_next_instance_takes_the_settings_over(rocketjob):
    HousekeepingJob.create(failed_retention=None, aborted_retention=2 * DAY)
    rocketjob.travel(timedelta(minutes=16))
    assert rocketjob.work_off() == 1
    (job,) = HousekeepingJob.queued()
    assert job.failed_retention is None
    assert job.aborted_retention == 2 * DAY


def test_a_job_that_is_kept_says_what_it_removed(rocketjob):
    make("failed", 20 * DAY)
    job = HousekeepingJob.create(destroy_on_complete=False).run_now()
    assert rocketjob.work_off() == 1
    (job,) = HousekeepingJob.completed()
    assert job.result == {"failed": 1}


def test_callbacks_of_destroy_run_and_one_that_raises_keeps_its_job_only(rocketjob):
    TidyJob.removed.clear()
    for name in ("one", "stays", "two"):
        make("failed", 20 * DAY, TidyJob, name=name)
    assert HousekeepingJob().perform_now() == {"failed": 2}
    assert TidyJob.removed == ["one", "two"]
    assert [job.name for job in TidyJob.all()] == ["stays"]


def test_a_job_that_is_retried_meanwhile_stays(rocketjob, monkeypatch):
    job = make("failed", 20 * DAY, TidyJob, name="again")
    found = Job.from_document

    def retried(stored):
        made = found(stored)
        if made.id == job.id:
            job.retry()
        return made

    monkeypatch.setattr(Job, "from_document", staticmethod(retried))
    assert HousekeepingJob().perform_now() == {}
    monkeypatch.undo()
    assert job.reload().is_queued


def test_a_batch_job_goes_with_its_slices(rocketjob):
    job = make("failed", 20 * DAY, OldBatchJob)
    job.upload([1, 2, 3])
    HousekeepingJob().perform_now()
    assert not [name for name in rocketjob.store.collection_names() if str(job.id) in name]


def test_slices_of_no_job_are_removed_once_they_are_old(rocketjob):
    kept, lost = OldBatchJob(), OldBatchJob()
    kept.upload(range(1000))
    kept.save()
    lost.upload(range(10_000))
    assert HousekeepingJob().perform_now() == {}  # it may be saved any moment
    rocketjob.travel(2 * DAY)
    assert HousekeepingJob().perform_now()["slices"] == 1
    assert kept.input.count() == 10
    assert lost.input.count() == 0
    assert lost.input.name not in rocketjob.store.collection_names()


def test_jobs_of_classes_that_are_not_loaded_are_removed_too(rocketjob):
    job = make("completed", 20 * DAY)
    job.collection().update_one({"_id": job.id}, {"$set": {"_type": "GoneJob"}})
    assert HousekeepingJob().perform_now() == {"completed": 1}


@pytest.mark.parametrize("wanted", [True, False])
def test_long_dead_servers_are_removed_unless_switched_off(rocketjob, wanted):
    dead, alive = Server(name="dead:1"), Server(name="alive:1")
    for server, at in ((dead, clock.now() - DAY), (alive, clock.now())):
        server.state, server.heartbeat = "running", {"updated_at": at, "number": 1}
        server.save()
    HousekeepingJob(destroy_zombies=wanted).perform_now()
    names = [server.name for server in Server.all().order_by("name")]
    assert names == (["alive:1"] if wanted else ["alive:1", "dead:1"])


def test_old_events_and_limits_are_removed(rocketjob):
    events.publish("logger", "set", level="info")
    limits = rocketjob.store.collection("rocket_job.limits")
    limits.insert_one({"_id": "rate:old", "starts": [clock.now()]})
    limits.insert_one({"_id": "jobs", "turn": 3})
    rocketjob.travel(500 * DAY)
    limits.insert_one({"_id": "rate:new", "starts": [clock.now()]})
    assert HousekeepingJob().perform_now() == {"events": 1, "limits": 1}
    assert sorted(limits.distinct("_id")) == ["jobs", "rate:new"]


def test_many_old_jobs_go_in_steps_that_hold_the_store_for_a_moment_only(tmp_path):
    """With 200,000 jobs by `ROCKETJOB_HOUSEKEEPING_JOBS`; the longest wait is printed."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    with sandbox(url) as made:
        fill(made.store.collection("rocket_job.jobs"), JOBS)
        waits, done = [], threading.Event()
        writer = threading.Thread(target=write_meanwhile, args=(waits, done))
        writer.start()
        started = time.monotonic()
        removed = HousekeepingJob().perform_now()
        took = time.monotonic() - started
        done.set()
        writer.join()
    assert removed == {"completed": JOBS}
    print(f"{JOBS} jobs in {took:.1f} s; {len(waits)} writes meanwhile, at most {max(waits):.4f} s")
    assert sorted(waits)[int(len(waits) * 0.95)] < 0.1
    # The machine is shared: the promise of 100 ms is measured by hand.
    assert max(waits) < max(1.0, took / 3)


def fill(jobs, count):
    at = clock.now() - 30 * DAY
    template = OldJob().to_document()
    for start in range(0, count, 5000):
        jobs.insert_many(
            [
                {**template, "_id": ObjectId(), "state": "completed", "completed_at": at}
                for _ in range(start, min(count, start + 5000))
            ]
        )


def write_meanwhile(waits, done):
    job = OldJob().save()
    while not done.is_set():
        started = time.monotonic()
        job.update(priority=1 + len(waits) % 100)
        waits.append(time.monotonic() - started)
        done.wait(0.002)
