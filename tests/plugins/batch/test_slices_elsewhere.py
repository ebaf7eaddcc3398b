"""Slices that are not where this process looks: refused rather than taken for done."""

from datetime import timedelta

import pytest

from rocketjob import Job, StoreError, StoreUnavailable
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.recovery import claim_owners, waiting_quarantined
from rocketjob_plugins.batch.slices import Slices
from support.jobs import KeptJob


class ElsewhereBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=1)
    output_category = OutputCategory()

    def perform(self, record):
        return record


def uploaded():
    job = ElsewhereBatchJob()
    job.upload(["one", "two"])
    job.save()
    return job


@pytest.fixture
def places(tmp_path):
    return {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("jobs", "slices", "others")}


@pytest.mark.parametrize(
    ("uploads", "works"), [(None, "slices"), ("slices", None), ("slices", "others")]
)
def test_a_job_whose_slices_are_elsewhere_is_held_until_they_are_seen(
    places, caplog, uploads, works
):
    with sandbox(places["jobs"], slices_url=places.get(uploads)):
        job = uploaded()
    with sandbox(places["jobs"], slices_url=places.get(works)) as rocketjob:
        rocketjob.work_off()
        assert job.reload().is_running
        assert "its 2 records are not in " in str(job.explain())
        assert (works or "jobs") + ".db" in str(job.explain())
        said = [record.message for record in caplog.records]
        assert said.count("deferred: the slices are not here") == 1
    with sandbox(places["jobs"], slices_url=places.get(uploads)) as rocketjob:
        rocketjob.work_off()
        assert job.reload().is_completed
        assert list(job.records()) == ["one", "two"]


def test_a_job_that_is_performed_inline_fails_with_the_reason(places):
    with sandbox(places["jobs"], slices_url=places["slices"]):
        job = uploaded()
    with sandbox(places["jobs"]):
        with pytest.raises(StoreError, match="its 2 records are not in "):
            job.perform_now()
        assert job.reload().is_failed


def test_a_job_without_records_completes(rocketjob):
    job = ElsewhereBatchJob()
    job.upload([])
    job.save()
    rocketjob.work_off()
    assert job.reload().is_completed


def test_while_the_store_of_the_slices_is_away_other_jobs_are_claimed(rocketjob, monkeypatch):
    job, other = uploaded(), KeptJob.create()
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )

    def away(self):
        raise StoreUnavailable("the slices are away")

    with monkeypatch.context() as patched:
        patched.setattr(Slices, "collection", property(away))
        assert [each.id for each in rocketjob.queue.claim(5)] == [other.id]
        assert waiting_quarantined() == 0
    with monkeypatch.context() as patched:
        patched.setattr("rocketjob_plugins.batch.slices.InputSlices.owners", away)
        assert claim_owners() == []
    rocketjob.travel(timedelta(seconds=6))  # longer than max_poll_seconds
    assert [each.id for each in rocketjob.queue.claim(5, places=1)] == [job.id]
