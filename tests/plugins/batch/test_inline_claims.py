"""A stored batch job that a program performs itself is claimed: nobody takes it meanwhile."""

import pytest

from rocketjob import Job, Server, after, before
from rocketjob.base.errors import StateConflict
from rocketjob.jobs.claims import COLLECTION, claim_of
from rocketjob.server.recovery import Recovery
from rocketjob_plugins.batch import Batch
from support.runtime import events_of, queue_of


class InlineClaimJob(Batch, Job):
    """Calls what a test wants to know at each step."""

    destroy_on_complete = False
    label: str = ""
    look = None
    steps = ()

    def at(self, step):
        type(self).steps += (step,)
        if type(self).look:
            type(self).look(self, step)

    @before("start")
    def at_start(self):
        self.at("start")

    @before("batch")
    def begin_it(self):
        self.at("before")
        self.upload(["a", "b"])

    def perform(self, record):
        self.at("perform")
        return record

    @after("batch")
    def end_it(self):
        self.at("after")


@pytest.fixture
def seen():
    """What is stored at each step."""
    found = {}

    def look(job, step):
        found[step] = job.collection().find_one({"_id": job.id})

    InlineClaimJob.look, InlineClaimJob.steps = look, ()
    yield found
    InlineClaimJob.look = None


def test_it_is_claimed_before_and_after_the_batch_and_open_to_workers_within(file_store, seen):
    job = InlineClaimJob.create()
    job.perform_now()
    assert InlineClaimJob.steps == ("start", "before", "perform", "perform", "after")
    assert [bool(seen[step].get("claimed_by")) for step in ("before", "perform", "after")] == [
        True,
        False,
        True,
    ]
    assert job.reload().is_completed
    assert claim_of(job) is None
    assert events_of(job) == ["start", "complete"]
    assert Server.count() == 0


def test_no_sweep_takes_it_and_no_worker_claims_it(file_store):
    swept = []

    def look(job, step):
        assert queue_of(file_store).claim(1) == [] or step == "perform"
        recovery = Recovery(file_store.application, "another")
        recovery.config = type(recovery.config)(heartbeat_seconds=0.001)
        swept.extend(recovery.sweep(set()) for _ in range(2))

    InlineClaimJob.look = look
    job = InlineClaimJob.create()
    job.perform_now()
    assert job.reload().is_completed
    assert swept
    assert all(each == {"requeued": 0, "failed": 0} for each in swept)


def test_a_job_in_other_hands_is_refused(file_store, seen):
    job = InlineClaimJob.create()
    queue_of(file_store).claim(1)
    with pytest.raises(StateConflict, match="in other hands"):
        job.perform_now()
    assert InlineClaimJob.steps == ()
    assert Server.count() == 0


def test_what_was_assigned_before_is_stored_with_it(file_store, seen):
    job = InlineClaimJob.create()
    job.label = "mine"
    job.perform_now()
    assert seen["before"]["label"] == "mine"


def test_an_error_before_the_batch_fails_it_and_leaves_no_claim(file_store):
    def look(job, step):
        if step == "before":
            raise RuntimeError("no input today")

    InlineClaimJob.look = look
    job = InlineClaimJob.create()
    with pytest.raises(RuntimeError, match="no input today"):
        job.perform_now()
    InlineClaimJob.look = None
    stored = file_store.store.collection(COLLECTION).find_one({"_id": job.id})
    assert (stored["state"], stored.get("claimed_by")) == ("failed", None)


def test_a_job_that_is_not_stored_stays_so(file_store, seen):
    job = InlineClaimJob()
    job.perform_now()
    assert job.is_completed
    assert seen["before"] is None
