"""Batch jobs that are held for a person: after their canary, or when too many records fail."""

import pytest

from rocketjob import Job, after
from rocketjob.base.errors import InvalidTransition, StateConflict, ValidationError
from rocketjob.server.checks import Patient
from rocketjob_plugins.batch import Batch, mending
from rocketjob_plugins.batch.checks import held_jobs
from rocketjob_plugins.batch.holding import Failures, failures_of
from rocketjob_plugins.batch.recovery import reclaim
from rocketjob_plugins.batch.work import holding as watching


class CanaryBatchJob(Batch, Job):
    destroy_on_complete = False
    collect_output = True
    slice_size = 2
    canary_slices = 2

    def perform(self, record):
        if str(record).startswith("bad"):
            raise ValueError(record)
        return record


class BudgetBatchJob(CanaryBatchJob):
    slice_size = 1
    canary_slices = None
    failure_budget = 0.2
    max_rejects = 99
    sent: int = 0

    @after("batch")
    def send(self):
        self.sent += 1


def uploaded(records, cls=CanaryBatchJob, **fields):
    job = cls(**fields)
    job.upload(list(records))
    return job.save()


def worked(rocketjob, job):
    rocketjob.work_off()
    return job.reload()


def after_the_canary(rocketjob, records="abcdefgh", **fields):
    job = worked(rocketjob, uploaded(records, **fields))
    assert (job.state, job.held_by) == ("paused", "canary")
    return job


# --- the canary ------------------------------------------------------------------------------


def test_the_first_slices_are_processed_and_then_the_job_is_held(rocketjob):
    job = after_the_canary(rocketjob)
    assert list(job.records()) == list("abcd")
    assert job.input.counts_by_state() == {"queued": 2}
    assert job.held_text == "the canary, its first 4 records, is done: nothing failed"
    assert (job.history[-1].event, job.history[-1].reason) == ("hold_for_approval", job.held_text)


def test_approved_it_goes_on_to_its_end_with_all_output_in_order(rocketjob):
    job = after_the_canary(rocketjob)
    job.approve(reason="looked at it")
    assert (job.state, job.held_by, job.held_text) == ("running", None, None)
    assert job.history[-1].reason == "looked at it"
    assert worked(rocketjob, job).is_completed
    assert list(job.records()) == list("abcdefgh")


def test_a_job_that_does_not_wait_for_approval_cannot_be_approved(rocketjob):
    job = uploaded("abcdefgh")
    with pytest.raises(InvalidTransition, match="Cannot approve a job that is queued"):
        job.approve()
    job.pause()
    with pytest.raises(InvalidTransition, match="it does not wait for approval"):
        job.approve()
    job.resume()
    job = worked(rocketjob, job)
    job.approve()
    with pytest.raises(InvalidTransition, match="Cannot approve a job that is running"):
        job.approve()


def test_without_approval_it_goes_on_by_itself_if_the_canary_passes(rocketjob):
    job = worked(rocketjob, uploaded("abcdefgh", canary_approval=False))
    assert job.is_completed
    assert [entry.event for entry in job.history] == ["start", "complete"]
    assert list(job.records()) == list("abcdefgh")


def test_and_is_held_if_it_does_not(rocketjob):
    records = ["a", "bad", *"cdefgh"]
    job = after_the_canary(rocketjob, records, canary_approval=False)
    assert job.held_text == "the canary, its first 4 records, is done: 1 slice failed"
    assert job.input.counts_by_state() == {"failed": 1, "queued": 2}


def test_to_resume_it_is_no_approval(rocketjob):
    job = after_the_canary(rocketjob)
    job.resume()
    job = worked(rocketjob, job)
    assert (job.state, job.held_by) == ("paused", "canary")
    assert job.input.counts_by_state() == {"queued": 2}


def test_a_failed_slice_that_was_mended_is_tried_as_a_canary_again(rocketjob):
    job = after_the_canary(rocketjob, ["bad", *"bcdefgh"])
    digest = mending.find(job, 1).digest
    digest = mending.replace_record(job, 1, 0, "a", digest).digest
    mending.retry(job, 1, digest)
    job.resume()
    job = worked(rocketjob, job)
    assert job.held_text == "the canary, its first 4 records, is done: nothing failed"
    job.approve()
    assert list(worked(rocketjob, job).records()) == list("abcdefgh")


def test_approved_with_a_failed_slice_it_fails_at_the_end_and_can_be_retried(rocketjob):
    job = after_the_canary(rocketjob, ["bad", *"bcdefgh"])
    job.approve()
    job = worked(rocketjob, job)
    assert (job.state, job.exception.message) == ("failed", "1 slice failed to process")
    CanaryBatchJob.perform, perform = lambda self, record: record, CanaryBatchJob.perform
    try:
        job.retry()
        assert worked(rocketjob, job).is_completed
    finally:
        CanaryBatchJob.perform = perform


@pytest.mark.parametrize("records", ["", "a", "abc", "abcd"])
def test_with_no_more_slices_than_canaries_it_ends_as_any_other(rocketjob, records):
    job = worked(rocketjob, uploaded(records))
    assert job.is_completed
    assert list(job.records()) == list(records)
    bad = worked(rocketjob, uploaded(["bad"]))
    assert bad.is_failed


@pytest.mark.parametrize("number", [0, None])
def test_zero_and_none_are_no_canary(rocketjob, number):
    assert worked(rocketjob, uploaded("abcdefgh", canary_slices=number)).is_completed


def opened(rocketjob):
    """Return a job without input that workers may join."""
    job = CanaryBatchJob.create()
    rocketjob.work_off()
    assert job.reload().sub_state == "processing"
    return job


def test_while_the_input_is_uploaded_it_waits_for_the_canary_and_is_held_all_the_same(rocketjob):
    job = opened(rocketjob)
    with CanaryBatchJob.find(job.id).upload() as writer:
        writer.add_slice(["a", "b"])
        writer._store()
        assert rocketjob.work_off() == 0
        assert job.explain().names() == ["servers", "canary"]
        assert "until the canary, its first 2 slices, is uploaded" in str(job.explain())
        writer.add_slice(["c", "d"])
        writer._store()
        rocketjob.work_off()
        assert job.reload().held_by == "canary"
        writer.add_slice(["e", "f"])
    assert job.reload().record_count == 6
    job.approve()
    assert list(worked(rocketjob, job).records()) == list("abcdef")


def test_no_worker_joins_for_more_than_the_canary(rocketjob):
    job = uploaded("abcdefgh", throttle_running_workers=3)
    _open(job)
    assert len(rocketjob.queue.claim(5)) == 2
    assert len(job.input.claim("other.1", "other:1", 1)) == 1
    assert len(rocketjob.queue.claim(5)) == 1
    assert rocketjob.work_off(limit=1) == 1
    assert job.reload().is_running  # the other one has a slice of the canary
    assert rocketjob.queue.claim(5) == []
    job.input.requeue_running()
    assert worked(rocketjob, job).held_by == "canary"


def _open(job):
    Job.collection().update_one(
        {"_id": job.id}, {"$set": {"state": "running", "sub_state": "processing"}}
    )
    job.reload()


def test_the_halves_of_a_slice_that_kills_its_worker_are_canaries_too(rocketjob):
    job = uploaded("abcdefgh", slice_size=2)
    _open(job)
    job.collection().update_one({"_id": job.id}, {"$set": {"canary_end": 5}})
    (first, last) = job.input.claim("dead.1", "dead:1", 2)
    assert (first.id, last.id) == (1, 3)
    reclaim("dead", {f"{job.id}/3": "killed by signal 9"}, 1)
    assert [each.id for each in job.input] == [1, 3, 4, 5, 7]
    job = worked(rocketjob, job)
    assert job.held_by == "canary"
    assert list(job.records()) == list("abcd")


def test_of_two_workers_one_holds_it_and_none_after_it_was_approved(rocketjob):
    job = after_the_canary(rocketjob)
    job.resume()
    late = CanaryBatchJob.find(job.id)
    job.hold_for_approval("canary", "as before")
    job.approve()
    with pytest.raises(StateConflict):
        late.hold_for_approval("canary", "too late")
    assert job.reload().is_running


def test_a_restart_has_the_settings_and_not_what_became_of_them(rocketjob):
    job = after_the_canary(rocketjob, failure_budget=0.5)
    again = job.restarted()
    assert (again.canary_slices, again.failure_budget) == (2, 0.5)
    assert (again.canary_end, again.canary_over, again.held_by) == (None, None, None)


def test_a_job_that_is_not_stored_is_performed_without_stopping(rocketjob):
    job = CanaryBatchJob()
    job.upload(list("abcdefgh"))
    job.perform_now()
    assert job.is_completed


def test_a_job_that_another_version_has_stored_has_no_canary_and_no_budget(rocketjob):
    job = uploaded("abcdefgh")
    keys = ("canary_slices", "canary_approval", "failure_budget")
    Job.collection().update_one({"_id": job.id}, {"$unset": dict.fromkeys(keys, "")})
    job = worked(rocketjob, job)
    assert job.held_by == "canary"  # of its class
    job = uploaded("abcdefgh", canary_slices=None)
    Job.collection().update_one({"_id": job.id}, {"$unset": {"canary_approval": ""}})
    assert worked(rocketjob, job).is_completed


@pytest.mark.parametrize(
    "wrong", [{"canary_end": "x"}, {"canary_slices": [1]}, {"failure_budget": "much"}]
)
def test_what_something_else_has_written_fails_the_job_and_no_worker(rocketjob, wrong):
    job, other = uploaded("abcdefgh"), uploaded("ab")
    Job.collection().update_one({"_id": job.id}, {"$set": wrong})
    rocketjob.work_off()
    assert other.reload().is_completed
    stored = Job.collection().find_one({"_id": job.id})
    assert stored["state"] == "failed"
    assert next(iter(wrong)) in stored["exception"]["message"]


@pytest.mark.parametrize(
    "fields", [{"canary_slices": -1}, {"failure_budget": 2.0}, {"failure_budget": -0.1}]
)
def test_what_makes_no_sense_is_refused(rocketjob, fields):
    with pytest.raises(ValidationError, match=next(iter(fields))):
        CanaryBatchJob.create(**fields)


# --- the budget ------------------------------------------------------------------------------


def test_it_is_held_when_more_records_have_failed_than_its_budget_allows(rocketjob):
    job = worked(rocketjob, uploaded([*"ab", "bad", "bad", "bad", *"fghij"], BudgetBatchJob))
    assert (job.state, job.held_by) == ("paused", "failure_budget")
    text = "3 of 10 records failed (30%), more than the failure_budget of 20%"
    assert job.held_text == text == job.history[-1].reason
    assert job.sent == 0


def test_just_as_many_are_no_reason(rocketjob):
    job = worked(rocketjob, uploaded([*"ab", "bad", "bad", *"efghij"], BudgetBatchJob))
    assert job.is_completed
    assert Failures(29, 0, 100, 0.29).are_too_many is False
    assert Failures(30, 0, 100, 0.29).are_too_many is True
    assert Failures(1, 0, 10, 0.0).are_too_many is True


def test_what_is_left_is_not_begun_until_it_is_approved(rocketjob):
    done = []

    class StoppedBudgetJob(BudgetBatchJob):
        throttle_running_workers = 1  # one slice at a time

        def perform(self, record):
            done.append(record)
            return super().perform(record)

    job = worked(rocketjob, uploaded(["bad"] * 3 + list("defghij"), StoppedBudgetJob))
    assert job.held_by == "failure_budget"
    assert done == ["bad"] * 3
    assert job.input.counts_by_state() == {"queued": 7}


def test_approved_it_goes_on_and_has_its_budget_again_for_what_fails_then(rocketjob):
    records = ["bad"] * 3 + list("de") + ["bad"] * 3 + list("ij")
    job = uploaded(records, BudgetBatchJob, throttle_running_workers=1)
    job = worked(rocketjob, job)
    job.approve()
    assert job.failures_accepted == 3
    job = worked(rocketjob, job)
    assert "6 of 10 records failed (60%, 3 of them approved before), more than" in job.held_text
    job.approve()
    job = worked(rocketjob, job)
    assert (job.state, job.sent, job.failures_accepted) == ("completed", 1, 6)


def test_what_was_accepted_and_is_mended_leaves_the_budget_as_it_was(rocketjob):
    records = ["bad"] * 3 + list("defghij")
    fields = {"throttle_running_workers": 1, "max_rejects": 0}
    job = worked(rocketjob, uploaded(records, BudgetBatchJob, **fields))
    job.approve()
    assert job.failures_accepted == 3
    first = job.input.collection.find_one({"state": "failed"}, sort=[("_id", 1)])["_id"]
    mending.retry(job, first, mending.find(job, first).digest)
    assert job.reload().failures_accepted == 2
    job.pause()
    job.resume()
    job = worked(rocketjob, job)
    assert (job.state, job.failures_accepted) == ("failed", 2)
    job.retry()
    assert job.reload().failures_accepted is None
    job = worked(rocketjob, job)
    assert job.is_failed  # which says more than to hold it
    assert failures_of(job).are_too_many


def test_held_without_a_reason_it_says_so(rocketjob):
    job = after_the_canary(rocketjob)
    job.approve()
    job.hold_for_approval()
    assert "waits for approval: no reason was given" in str(job.explain())


def test_approved_with_a_budget_that_is_enough_nothing_is_accepted_beyond_it(rocketjob):
    job = worked(rocketjob, uploaded([*"ab", "bad", "bad", "bad", *"fghij"], BudgetBatchJob))
    with pytest.raises(ValidationError, match="failure_budget"):
        job.approve(failure_budget=7.0)
    assert (job.reload().state, job.failure_budget) == ("paused", 0.2)
    job.approve(failure_budget=0.5)
    job.reload()
    assert (job.failure_budget, job.failures_accepted) == (0.5, None)
    assert worked(rocketjob, job).is_completed


def test_resumed_without_approval_it_is_held_before_anything_is_begun(rocketjob):
    job = uploaded(["bad"] * 3 + list("defghij"), BudgetBatchJob, throttle_running_workers=1)
    job = worked(rocketjob, job)
    job.resume()
    job = worked(rocketjob, job)
    assert job.held_by == "failure_budget"
    assert job.input.counts_by_state() == {"queued": 7}


def test_of_a_slice_that_has_failed_what_is_not_done_counts_and_nothing_once_it_is_retried(
    rocketjob,
):
    records = ["a", "bad", *"cdefghijkl"]
    job = uploaded(records, BudgetBatchJob, slice_size=4, max_rejects=None)
    job = worked(rocketjob, job)
    assert "3 of 12 records failed (25%)" in job.held_text
    found = mending.find(job, 1)
    digest = mending.replace_record(job, 1, 1, "b", found.digest).digest
    mending.retry(job, 1, digest)
    assert failures_of(job).failed == 0
    job.resume()
    assert list(worked(rocketjob, job).records()) == ["a", "b", *"cdefghijkl"]


def test_a_job_whose_slices_have_failed_to_the_last_one_fails(rocketjob):
    job = worked(rocketjob, uploaded(["bad"], BudgetBatchJob, max_rejects=None))
    assert (job.state, job.held_by) == ("failed", None)


def test_the_canary_has_a_budget_of_its_own_size(rocketjob):
    records = ["bad", "b", *"cdefghij"]
    job = worked(rocketjob, uploaded(records, BudgetBatchJob, canary_slices=2))
    said = "1 of 2 records failed (50%), more than the failure_budget of 20%"
    assert job.held_text == f"the canary, its first 2 records, is done: {said}"
    job.approve()
    assert job.failures_accepted is None  # 1 of all 10 is within the budget
    assert worked(rocketjob, job).is_completed


def test_while_the_input_is_uploaded_nothing_is_said_of_its_share(rocketjob):
    job = BudgetBatchJob.create()
    rocketjob.work_off()
    with BudgetBatchJob.find(job.id).upload() as writer:
        writer.add_slice(["bad"])
        writer._store()
        rocketjob.work_off()
        assert job.reload().is_running
        assert job.reject_count == 1
        writer.extend(["a", "b"])
    job = worked(rocketjob, job)
    assert job.held_by == "failure_budget"


def test_a_worker_does_not_hold_it_whose_budget_was_raised_this_moment(rocketjob):
    job = uploaded("abc", BudgetBatchJob)
    _open(job)
    late = BudgetBatchJob.find(job.id)
    job.update(failure_budget=0.9)
    with pytest.raises(StateConflict):
        late.hold_for_approval("failure_budget", "too late")
    assert job.reload().is_running


def test_where_many_slices_have_failed_they_are_not_read_again_for_each(rocketjob, monkeypatch):
    monkeypatch.setattr(watching, "PER_LOOK", 4)
    looks = []
    original = watching.BudgetWatch.is_over
    monkeypatch.setattr(
        watching.BudgetWatch, "is_over", lambda self: looks.append(1) or original(self)
    )
    fields = {"max_rejects": None, "failure_budget": 0.5, "throttle_running_workers": 1}
    job = worked(rocketjob, uploaded(["bad"] * 12 + ["a"] * 8, BudgetBatchJob, **fields))
    assert job.held_by == "failure_budget"
    assert len(looks) == 8  # as it begins, and at 1, 2, 3, 4, 6, 8 and 11 that have failed


def test_a_budget_that_is_set_while_it_runs_holds_it_at_the_next_slice(rocketjob):
    job = uploaded(["bad"] * 3 + list("defghij"), BudgetBatchJob, failure_budget=None)
    _open(job)
    job.update(failure_budget=0.0)
    assert worked(rocketjob, job).held_by == "failure_budget"


# --- what is shown ---------------------------------------------------------------------------


def test_explain_remarks_and_the_verdict_say_what_it_waits_for(rocketjob):
    job = after_the_canary(rocketjob)
    explained = job.explain()
    assert explained.names() == ["state", "canary"]
    assert "it waits for approval: the canary, its first 4 records" in str(explained)
    assert "resume it" not in str(explained)
    (remark,) = job.remarks()
    assert remark.brief == "waits for approval"
    assert f"`rocketjob batch approve {job.id}`" in remark.text
    (finding,) = held_jobs(Patient(rocketjob.application))
    assert finding.message.startswith("CanaryBatchJob waits for approval for 0s: the canary")
    job.approve()
    assert list(held_jobs(Patient(rocketjob.application))) == []
    assert list(job.remarks()) == []


def test_a_running_job_says_that_only_its_canary_is_processed(rocketjob):
    job = uploaded("abcdefgh")
    _open(job)
    assert "only the canary, its first 2 slices, is processed" in str(job.explain())
