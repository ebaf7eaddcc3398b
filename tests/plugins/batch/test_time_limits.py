"""A batch job with a timeout is limited for each slice; whoever stops early keeps what is done."""

import asyncio
from datetime import timedelta

import pytest

from rocketjob import Job, JobTimeout, ServerStopping, before
from rocketjob.base import clock
from rocketjob.jobs.performance import performance_of
from rocketjob.server.subscribers import WorkerSubscriber
from rocketjob.worker.runner import work_claimed_job
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from support.runtime import Gate, eventually, running_pool

HOUR = timedelta(hours=1)
FAST = timedelta(milliseconds=20)
gate = Gate()


@pytest.fixture(autouse=True)
def nobody_has_entered():
    gate.__init__()


class HourlySlicesJob(Batch, Job):
    """Each record takes half an hour."""

    destroy_on_complete = False
    input_category = InputCategory(slice_size=3)
    output_category = OutputCategory()
    takes: timedelta = timedelta(minutes=30)
    checks: bool = False

    def perform(self, record):
        clock.travel(self.takes)
        if self.checks:
            self.check()
        return record


class RejectingSlicesJob(HourlySlicesJob):
    max_rejects = 10


class AwaitingRecordsJob(Batch, Job):
    destroy_on_complete = False

    async def perform(self, record):
        gate.entered.release()
        await asyncio.Event().wait()


class SleepingRecordsJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=4)
    output_category = OutputCategory()

    def perform(self, record):
        if record == "three":
            gate.entered.release()
            self.sleep(HOUR)
        return record


class CheckingBeforeSliceJob(HourlySlicesJob):
    @before("slice")
    def look(self):
        self.check()


def uploaded(cls, records, **fields):
    job = cls(**fields)
    job.upload(records)
    return job.save()


def test_the_time_is_counted_for_each_slice(rocketjob):
    job = uploaded(HourlySlicesJob, [*"abcdef"], timeout=2 * HOUR)  # three hours in all
    rocketjob.work_off()
    assert job.reload().state == "completed"


@pytest.mark.parametrize("checks", [False, True])
def test_a_slice_whose_time_is_up_fails_and_what_is_done_is_kept(rocketjob, checks):
    job = uploaded(HourlySlicesJob, [*"abc"], timeout=HOUR, checks=checks)
    rocketjob.work_off()
    job.reload()
    assert job.state == "failed"
    (failed,) = job.input
    assert failed.exception.class_name == "JobTimeout"
    assert failed.processing_record_number == (2 if checks else 3)
    job.takes = timedelta(0)
    job.save()
    job.retry()
    rocketjob.work_off()
    assert job.reload().state == "completed"
    assert [*job.records()] == [*"abc"]


def test_a_timeout_is_no_fault_of_a_record_so_that_none_is_rejected(rocketjob):
    job = uploaded(RejectingSlicesJob, [*"abc"], timeout=HOUR, checks=True)
    rocketjob.work_off()
    assert (job.reload().state, job.reject_count) == ("failed", 0)


def test_a_slice_that_is_done_in_the_last_moment_is_done(rocketjob):
    job = uploaded(HourlySlicesJob, ["a"], timeout=timedelta(minutes=30))
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_performed_inline_the_timeout_is_raised(rocketjob):
    job = uploaded(HourlySlicesJob, [*"abc"], timeout=HOUR)
    with pytest.raises(JobTimeout):
        job.perform_now()


def test_a_record_that_awaits_for_ever_is_cancelled(rocketjob):
    job = uploaded(AwaitingRecordsJob, ["a"], timeout=FAST)
    rocketjob.work_off()
    (failed,) = job.reload().input
    assert (job.state, failed.exception.class_name) == ("failed", "JobTimeout")


def test_when_the_server_stops_a_slice_ends_early_and_goes_on_where_it_was(rocketjob):
    job = uploaded(SleepingRecordsJob, ["one", "two", "three", "four"])
    with running_pool(rocketjob):
        gate.wait_for_entry()
    (waiting,) = job.reload().input
    assert (job.state, waiting.state, waiting.processing_record_number) == ("running", "queued", 3)
    assert waiting.failure_count == 0
    assert [record for part in job.output for record in part] == ["one", "two"]


@pytest.mark.parametrize("cls", [SleepingRecordsJob, AwaitingRecordsJob])
def test_an_abort_ends_a_record_that_is_performed(rocketjob, cls):
    job = uploaded(cls, ["three"])
    with running_pool(rocketjob) as pool:
        gate.wait_for_entry()
        job.reload().abort()
        WorkerSubscriber(pool).taken(str(job.id))
        eventually(lambda: all(worker.job is None for worker in pool.workers))
    assert job.reload().state == "aborted"


def test_a_callback_of_a_slice_may_ask_too(rocketjob):
    job = uploaded(CheckingBeforeSliceJob, [*"abc"])
    (claimed,) = rocketjob.queue.claim(1)
    performance_of(claimed).ask(ServerStopping())
    work_claimed_job(claimed, rocketjob.worker)
    (waiting,) = job.reload().input
    assert (job.state, waiting.state, waiting.failure_count) == ("running", "queued", 0)
