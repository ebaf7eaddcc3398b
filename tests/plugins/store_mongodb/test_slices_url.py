"""Slices in another store than jobs."""

import pytest

from rocketjob import Job
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, Statistics
from support.mongo import database_url, drop


class MongoApartJob(Statistics, Batch, Job):
    destroy_on_complete = False
    slice_size = 2
    collect_output = True

    def perform(self, record):
        self.statistics_inc("seen")
        return -record


@pytest.fixture
def slices_url(mongo_server):
    url = database_url(mongo_server)
    yield url
    drop(url)


@pytest.mark.parametrize("transactions", ["true", "false"])
@pytest.mark.parametrize("jobs", ["sqlite", "mongodb"])
def test_a_batch_whose_slices_are_elsewhere(mongo_url, slices_url, jobs, transactions):
    url = "sqlite://:memory:" if jobs == "sqlite" else mongo_url
    elsewhere = f"{slices_url}?rocketjobTransactions={transactions}"
    with sandbox(url, slices_url=elsewhere) as made:
        job = MongoApartJob()
        job.upload(range(7))
        job.save()
        assert made.store.collection_names().count(job.input.name) == 0
        made.work_off()
        assert job.reload().is_completed
        assert [record for each in job.output for record in each] == [0, -1, -2, -3, -4, -5, -6]
        assert job.statistics == {"seen": 7}
