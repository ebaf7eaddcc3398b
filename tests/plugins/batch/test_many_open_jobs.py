"""Workers find the job that has slices for them, behind however many that have none."""

from datetime import timedelta

import pytest

from rocketjob import Job
from rocketjob.base import clock
from rocketjob_plugins.batch import Batch, InputCategory
from support.jobs import PassingJob

MANY = 230  # more than a claim looks at if it has no more time


class OpenBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)

    def perform(self, record): ...


@pytest.fixture
def behind_many(rocketjob):
    """A job that has slices, behind many that run and have none that could be taken."""
    jobs = OpenBatchJob.create_many([{"priority": 10, "record_count": 1} for _ in range(MANY)])
    for job in jobs:
        job.input.collection.insert_one({"_id": 1, "state": "running", "claimed_by": "other.1"})
    last = OpenBatchJob(priority=20)
    last.upload(["a", "b", "c"])
    last.save()
    Job.collection().update_many({}, {"$set": {"state": "running", "sub_state": "processing"}})
    return jobs[0], last


def test_a_claim_that_has_time_sees_all_of_them(rocketjob, behind_many):
    assert [job.id for job in rocketjob.queue.claim(1)] == [behind_many[1].id]


def test_a_claim_that_is_cut_short_goes_on_behind_those_it_saw(rocketjob, behind_many):
    queue, (first, last) = rocketjob.queue, behind_many
    assert queue.claim(1, patience=0) == []
    assert queue.sees_on
    found = [job.id for _ in range(9) for job in queue.claim(1, patience=0)]
    assert set(found) == {last.id}
    first.input.collection.update_one({"_id": 1}, {"$set": {"state": "queued"}})
    assert queue.looks_again_in < float("inf")
    rocketjob.travel(timedelta(hours=5))  # then it begins at the head again
    assert [job.id for job in queue.claim(1, patience=0)] == [first.id]


def test_open_jobs_are_looked_for_by_their_state_alone(rocketjob, behind_many):
    """A store that goes by what else is asked reads all that runs."""
    filter = rocketjob.queue.eligible.running(clock.now())
    state, others = filter["$and"]
    assert state == OpenBatchJob.joinable
    assert list(others) == ["$nor"]
    assert Job.collection().count_documents(filter) == MANY + 1
    Job.collection().update_one({}, {"$set": {"run_at": clock.now() + timedelta(hours=1)}})
    assert Job.collection().count_documents(filter) == MANY


def test_queued_jobs_do_not_wait_for_those_that_are_open(rocketjob, behind_many):
    plain = PassingJob.create(priority=90)
    assert [job.id for job in rocketjob.queue.claim(1, patience=0)] == [plain.id]
