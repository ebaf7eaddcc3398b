"""`perform` that raises Snooze or Discard, and with Retry RetryLater: what becomes of the job."""

from datetime import timedelta

import pytest

from rocketjob import Discard, Job, Snooze, before
from rocketjob.base.errors import ConfigurationError
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.retry import Retry, RetryLater

TEN = timedelta(minutes=10)


class SnoozingJob(Job):
    destroy_on_complete = False
    looked: int = 0

    def perform(self):
        self.looked += 1
        if self.looked < 3:
            raise Snooze(TEN, "not there yet")


class DiscardedJob(Retry, Job):
    guarded: bool = False

    @before("abort")
    def guard(self):
        if self.guarded:
            raise RuntimeError("not today")

    def perform(self):
        raise Discard("the order is gone")


class SnoozingBatchJob(Batch, Job):
    destroy_on_complete = False

    def perform(self, record):
        raise Snooze(TEN)


class RetryingJob(Retry, Job):
    retry_limit = 2
    retry_on = (ConnectionError,)
    discard_on = (LookupError,)
    error: str = "later"

    def perform(self):
        raise {"later": RetryLater(TEN, "busy"), "gone": KeyError("x")}[self.error]


def test_a_snoozed_job_is_queued_for_later_which_is_no_failure(rocketjob):
    rocketjob.freeze()
    job = SnoozingJob.create()
    assert rocketjob.work_off() == 1
    job.reload()
    assert (job.state, job.looked, job.failure_count, job.exception) == ("queued", 1, 0, None)
    assert (job.claimed_by, job.worker_name, job.started_at) == (None, None, None)
    assert job.run_at - job.history[-1].at == TEN
    assert (job.history[-1].event, job.history[-1].reason) == ("snooze", "not there yet")
    assert rocketjob.work_off() == 0
    for _ in range(2):
        rocketjob.travel(TEN)
        assert rocketjob.work_off() == 1
    assert job.reload().state == "completed"


def test_a_discarded_job_is_aborted_with_the_reason_whatever_its_retries(rocketjob):
    job = DiscardedJob.create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.failure_count, job.retry_count) == ("aborted", 0, 0)
    assert job.history[-1].reason == "the order is gone"


def test_if_a_callback_of_the_abort_raises_the_job_fails_with_that(rocketjob):
    job = DiscardedJob.create(guarded=True, retry_limit=0)
    rocketjob.work_off()
    assert job.reload().exception.message == "not today"


def test_here_and_now_it_is_raised_once_it_is_stored(rocketjob):
    job = SnoozingJob.create()
    with pytest.raises(Snooze, match="for 0:10:00: not there yet"):
        job.perform_now()
    assert job.reload().is_scheduled


def test_a_record_of_a_batch_cannot_snooze_the_whole_job(rocketjob):
    job = SnoozingBatchJob(slice_size=1)
    job.upload(["one"])
    job.save()
    rocketjob.work_off()
    assert job.reload().state == "failed"
    assert not job.may("snooze")


@pytest.mark.parametrize("delay", [-1, timedelta(seconds=-1), "10", True, float("inf"), None])
@pytest.mark.parametrize("error", [Snooze, RetryLater])
def test_a_delay_that_is_none_is_refused(error, delay):
    with pytest.raises(ValueError, match="a delay is a timedelta or a number of seconds"):
        error(delay)


def test_retry_later_is_a_failed_attempt_that_says_when_the_next_one_is(rocketjob):
    rocketjob.freeze()
    job = RetryingJob.create()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.failure_count, job.retry_count) == ("queued", 1, 1)
    assert job.run_at - job.failed_at_list[-1] == TEN
    for _ in range(2):
        rocketjob.travel(TEN)
        rocketjob.work_off()
    assert (job.reload().state, job.exception.message) == ("failed", "busy")


def test_after_an_error_that_discards_the_job_is_aborted_instead_of_retried(rocketjob):
    job = RetryingJob.create(error="gone")
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.failure_count, job.retry_count) == ("aborted", 1, 0)
    assert job.history[-1].reason == "KeyError is named in discard_on"


def test_what_discards_must_be_classes_of_errors():
    with pytest.raises(ConfigurationError, match="discard_on must be a tuple of exception classes"):
        type("WrongDiscardJob", (Retry, Job), {"discard_on": KeyError})
