"""`job.explain()` of a batch job, in each of its situations."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob_plugins.batch import Batch, batch_throttle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ExplainedBatchJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True
    slice_size = 1

    def perform(self, record):
        if record == "bad":
            raise ValueError("bad record")
        return record


class ExplainedBusyBatchJob(ExplainedBatchJob):
    @batch_throttle
    def too_busy(self, slice_) -> bool:
        """The mainframe is busy."""
        return slice_.first_record_number == 1


class ExplainedOddBatchJob(ExplainedBatchJob):
    @batch_throttle
    def odd(self) -> bool:
        raise RuntimeError("no such thing")


@pytest.fixture(autouse=True)
def server(rocketjob):
    rocketjob.freeze(NOW)
    classes = [ExplainedBatchJob, ExplainedBusyBatchJob, ExplainedOddBatchJob]
    return Server.create(
        name="host:1",
        state="running",
        classes=[cls.__name__ for cls in classes],
        heartbeat={"updated_at": NOW},
        incarnation="alive",
    )


def uploaded(*records, cls=ExplainedBatchJob, **values):
    job = cls(**values)
    job.upload(records or ["a", "b"])
    return job.save()


def opened(*records, **values):
    """Return a job that a worker has begun, so that all can join it."""
    job = uploaded(*records, **values)
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    return job.reload()


def explained(job):
    found = Job.find(job.id).explain()
    return found.names(), str(found)


def test_queued_behind_nothing(rocketjob):
    assert explained(uploaded())[0] == []


def test_queued_behind_a_running_one_that_workers_join_first(rocketjob):
    first, second = opened(), uploaded()
    names, said = explained(second)
    assert names == ["joined first"]
    assert f"workers join ExplainedBatchJob {first.id} first, which is running" in said
    urgent = uploaded(priority=10)
    assert explained(urgent)[0] == []  # that goes before it
    urgent.destroy()
    first.update(throttle_running_workers=1)
    first.input.claim("alive.1", "host:1:1", 1)
    assert explained(second)[0] == []  # nobody else can join the first


def test_running_and_others_can_join(rocketjob):
    job = opened()
    names, said = explained(job)
    assert names == []
    assert "nobody is at it: a free worker is next" in said
    job.input.claim("alive.1", "host:1:1", 1)
    names, said = explained(job)
    assert names == []
    assert said.endswith("it is running on host:1:1")


def test_running_without_a_server_or_behind_more_urgent_jobs(rocketjob, server):
    job = opened()
    uploaded(priority=1)
    assert explained(job)[0] == ["ahead"]
    server.delete()
    names, said = explained(job)
    assert names == ["servers"]
    assert "no server is running" in said


def test_all_slices_done_but_one_failed(rocketjob):
    job = opened("bad", "b")
    job.input.collection.delete_one({"_id": 2})
    job.input.collection.update_one({"_id": 1}, {"$set": {"state": "failed"}})
    names, said = explained(job)
    assert names == ["slices"]
    assert "1 of its slices failed, and the others are done: it fails as soon as a worker" in said
    job.input.delete_all()
    assert "all its slices are done: it ends as soon as a worker is free" in explained(job)[1]
    job.update(record_count=None)
    assert explained(job)[0] == ["record_count"]


def test_failed_with_the_reasons_of_its_slices(rocketjob):
    job = uploaded("a", "bad", "bad")
    rocketjob.work_off()
    names, said = explained(job)
    assert names == ["state", "slices"]
    assert "it has failed: retry it to run it again" in said
    assert "- 2 slices failed: ValueError: bad record" in said


def test_failed_since_no_more_rejects_are_allowed(rocketjob):
    job = uploaded("bad", "bad", "a", max_rejects=1)
    rocketjob.work_off()
    names, said = explained(job)
    assert names == ["state", "slices", "max_rejects"]
    assert "as many records are set aside as max_rejects allows, 1" in said


def test_paused(rocketjob):
    job = opened()
    job.pause()
    names, said = explained(job)
    assert names == ["state"]
    assert "it is paused: resume it to let it go on" in said


def test_throttled_by_the_number_of_workers(rocketjob):
    job = opened(throttle_running_workers=1)
    job.input.claim("alive.1", "host:1:1", 1)
    names, said = explained(job)
    assert names == []
    assert "it is running on host:1:1; throttle_running_workers lets 1 of its slices be in" in said


def test_throttled_by_a_method_of_its_own_as_the_worker_said_it(rocketjob):
    job = opened(cls=ExplainedBusyBatchJob)
    assert explained(job)[0] == []  # nobody has asked
    rocketjob.work_off()
    names, said = explained(job)
    assert names == ["too_busy"]
    assert "its slices are held back by too_busy: The mainframe is busy (20" in said
    odd = opened(cls=ExplainedOddBatchJob, priority=1)
    rocketjob.work_off()
    names, said = explained(odd)
    assert "odd" in names
    assert "by odd: the batch throttle odd fails: RuntimeError: no such thing" in said


def test_slices_of_a_server_that_died(rocketjob, server):
    job = opened()
    job.input.claim("dead.1", "gone:2:1", 1)
    assert explained(job)[0] == []
    Server.create(
        name="gone:2",
        state="running",
        heartbeat={"updated_at": clock.now() - timedelta(minutes=9)},
        incarnation="dead",
    )
    names, said = explained(job)
    assert names == ["lost"]
    assert "the heartbeat of gone:2 has stopped, which was at it" in said
    plain = uploaded(priority=1)
    held = {"state": "running", "claimed_by": "dead.1", "worker_name": "gone:2:1"}
    Job.collection().update_one({"_id": plain.id}, {"$set": held})
    assert explained(plain)[0] == ["lost"]
