import pytest
import rocketjob_plugin_audit
from rocketjob_plugin_audit import COLLECTION, Audited

from rocketjob import Job, StateConflict, ValidationError
from rocketjob.testing import sandbox


class PayoutJob(Audited, Job):
    def perform(self):
        raise OSError("the bank is closed")


@pytest.fixture
def rocketjob():
    with sandbox(plugins=[rocketjob_plugin_audit]) as made:
        yield made


@pytest.fixture
def audit(rocketjob):
    return rocketjob.store.collection(COLLECTION)


def test_a_payout_needs_somebody_who_asked_for_it(rocketjob):
    with pytest.raises(ValidationError, match="requested_by"):
        PayoutJob.create()


def test_every_change_is_a_line(rocketjob, audit):
    job = PayoutJob.create(requested_by="ann")
    rocketjob.work_off()
    job.reload().abort()
    lines = list(audit.find({"job_id": job.id}))
    assert [(line["event"], line["to"]) for line in lines] == [
        ("fail", "failed"),
        ("abort", "aborted"),
    ]
    assert {line["requested_by"] for line in lines} == {"ann"}


def test_a_change_that_did_not_happen_is_no_line(rocketjob, audit):
    job = PayoutJob.create(requested_by="ann")
    PayoutJob.find(job.id).abort()
    with pytest.raises(StateConflict):
        job.pause()
    assert [line["event"] for line in audit.find({})] == ["abort"]
