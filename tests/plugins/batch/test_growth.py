"""What a slice costs as a batch grows: counted in steps of SQLite's machine and bytes."""

import tracemalloc

import pytest

from rocketjob import Job
from rocketjob_plugins.batch import Batch, OutputCategory
from rocketjob_plugins.store_sqlite.counting import counted_steps

SLICES = (500, 10_000)


class GrowingBatchJob(Batch, Job):
    destroy_on_complete = False
    slice_size = 1
    output_category = OutputCategory()

    def perform(self, line): ...


@pytest.fixture
def jobs(rocketjob):
    """Jobs whose batches differ in length, running."""
    made = []
    for count in SLICES:
        job = GrowingBatchJob()
        job.upload(str(number) for number in range(count))
        job.save()
        running = {"state": "running", "sub_state": "processing"}
        Job.collection().update_one({"_id": job.id}, {"$set": running})
        made.append(job.reload())
    return made


def test_the_claim_of_slices_costs_the_same_however_many_there_are(rocketjob, jobs):
    costs = []
    for job in jobs:
        job.input.claim("x.1", "x", 5, None, None, {})  # the plan is made once
        with counted_steps(rocketjob.store, 10) as count:
            claimed = job.input.claim("x.1", "x", 5, None, None, {})
        assert len(claimed) == 5
        costs.append(count())
    assert 0 < costs[1] <= costs[0] + 50


def test_an_upload_takes_no_more_memory_the_longer_it_is(rocketjob):
    GrowingBatchJob().upload(["a"])  # what is imported and made once
    peaks = []
    for count in SLICES:
        tracemalloc.start()
        try:
            GrowingBatchJob().upload(str(number) for number in range(count))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] <= 1.5 * peaks[0] + 100_000
