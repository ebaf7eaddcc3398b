"""`self.check()` and `self.sleep()`, and what they make of a timeout, an abort and a stop."""

import asyncio
from datetime import timedelta

import pytest

from rocketjob import (
    Job,
    JobAborted,
    JobTimeout,
    ServerStopping,
    ValidationError,
    current_job,
    field,
)
from rocketjob.base import clock
from rocketjob.base.errors import ClaimLost, UnsupportedOperation
from rocketjob.server.subscribers import WorkerSubscriber
from rocketjob_plugins.resumable import Resumable
from rocketjob_plugins.retry import Retry
from support.runtime import Gate, eventually, running_pool

HOUR = timedelta(hours=1)
gate = Gate()


@pytest.fixture(autouse=True)
def nobody_has_entered():
    gate.__init__()


class CheckingUntilJob(Job):
    destroy_on_complete = False
    takes: timedelta = timedelta(0)
    catches: bool = False

    def perform(self):
        clock.travel(self.takes)
        try:
            self.check()
        except JobTimeout:
            if not self.catches:
                raise
        return "done"


class RetriedCheckingUntilJob(Retry, CheckingUntilJob):
    retry_limit = 1


class LoopingUntilJob(Job):
    destroy_on_complete = False
    rounds: int = 0

    def perform(self):
        gate.entered.release()
        while True:
            self.rounds += 1
            self.check()
            gate.opened.wait(0.001)


class SleepingUntilJob(Job):
    destroy_on_complete = False

    def perform(self):
        gate.entered.release()
        self.sleep(HOUR)


class AwaitingUntilJob(Job):
    destroy_on_complete = False
    cleaned_up: bool = False

    async def perform(self):
        gate.entered.release()
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaned_up = True


class StubbornCoroutineUntilJob(Job):
    async def perform(self):
        self.sleep(1)


class TimeoutAfterwardsUntilJob(Job):
    def perform(self):
        other = CheckingUntilJob.create()
        other.wait(timeout=0)


FAST = timedelta(milliseconds=20)


def test_a_job_whose_time_is_up_fails_where_it_checks(rocketjob):
    job = CheckingUntilJob.create(timeout=HOUR, takes=HOUR)
    assert rocketjob.work_off() == 1
    job.reload()
    assert job.state == "failed"
    assert job.exception.class_name == "JobTimeout"
    assert job.exception.message == "It has not ended within its timeout of 1:00:00"
    assert any("self.check()" in line for line in job.exception.backtrace)


def test_a_job_within_its_time_is_not_disturbed(rocketjob):
    job = CheckingUntilJob.create(timeout=HOUR, takes=HOUR - timedelta(minutes=1))
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_a_job_may_catch_the_timeout_and_end_well(rocketjob):
    job = CheckingUntilJob.create(timeout=HOUR, takes=HOUR, catches=True)
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_perform_now_raises_the_timeout(rocketjob):
    with pytest.raises(JobTimeout, match="within its timeout of 1:00:00"):
        CheckingUntilJob(timeout=HOUR, takes=HOUR).perform_now()


def test_retry_tries_again_with_all_the_time(rocketjob):
    job = RetriedCheckingUntilJob.create(timeout=HOUR, takes=HOUR)
    rocketjob.work_off()
    assert (job.reload().state, job.retry_count) == ("queued", 1)
    job.update(takes=timedelta(0))
    rocketjob.travel(timedelta(minutes=1))
    rocketjob.work_off()
    assert job.reload().state == "completed"


@pytest.mark.parametrize(("timeout", "text"), [(timedelta(0), "0s"), (-timedelta(0, 5), "-5s")])
def test_a_timeout_in_which_nothing_can_be_done_is_refused(rocketjob, timeout, text):
    with pytest.raises(ValidationError, match=f"timeout: must be longer than nothing, not {text}"):
        CheckingUntilJob.create(timeout=timeout)


def test_without_a_limit_nothing_is_stored_or_kept(rocketjob):
    job = CheckingUntilJob.create()
    assert "timeout" not in job.collection().find_one({"_id": job.id})
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_check_and_sleep_of_a_job_that_is_not_performed_do_no_harm(rocketjob):
    job = CheckingUntilJob(timeout=FAST)
    job.check()
    job.sleep(0.001)
    with pytest.raises(ValueError, match="a delay is"):
        job.sleep(-1)
    assert current_job() is None


def test_sleep_in_a_coroutine_is_refused(rocketjob):
    with pytest.raises(UnsupportedOperation, match=r"write await asyncio\.sleep"):
        StubbornCoroutineUntilJob().perform_now()


@pytest.mark.parametrize("cls", [SleepingUntilJob, AwaitingUntilJob])
def test_whoever_sleeps_or_awaits_is_woken_when_the_time_is_up(rocketjob, cls):
    job = cls.create(timeout=FAST)
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.exception.class_name) == ("failed", "JobTimeout")
    assert job.exception.backtrace


def test_a_coroutine_is_cancelled_so_that_it_can_clean_up(rocketjob):
    job = AwaitingUntilJob(timeout=FAST)
    with pytest.raises(JobTimeout):
        job.perform_now()
    assert job.cleaned_up


def test_a_job_that_waited_in_vain_for_another_fails_as_it_did(rocketjob):
    job = TimeoutAfterwardsUntilJob.create(timeout=HOUR)
    rocketjob.work_off(1)
    assert "has not ended after 0 s" in job.reload().exception.message


@pytest.mark.parametrize("cls", [LoopingUntilJob, SleepingUntilJob, AwaitingUntilJob])
def test_an_aborted_job_ends_early_and_nothing_is_written(rocketjob, cls):
    job = cls.create()
    with running_pool(rocketjob) as pool:
        gate.wait_for_entry()
        job.reload().abort()
        WorkerSubscriber(pool).taken(str(job.id))
        eventually(lambda: all(worker.job is None for worker in pool.workers))
    assert job.reload().state == "aborted"
    assert (job.exception, getattr(job, "rounds", 0)) == (None, 0)


def test_an_abort_that_was_not_of_this_claim_disturbs_nobody(rocketjob):
    job = LoopingUntilJob.create()
    with running_pool(rocketjob) as pool:
        gate.wait_for_entry()
        WorkerSubscriber(pool).taken(str(job.id))  # it has come late, and the job runs again
        assert [worker.job_id for worker in pool.workers].count(job.id) == 1
        assert job.reload().state == "running"


@pytest.mark.parametrize("cls", [LoopingUntilJob, SleepingUntilJob])
def test_a_job_that_asks_is_queued_again_when_the_server_stops(rocketjob, cls):
    job = cls.create()
    with running_pool(rocketjob):
        gate.wait_for_entry()
    job.reload()
    assert (job.state, job.failure_count, job.interruptions) == ("queued", 0, 0)
    assert job.history[-1].event == "requeue"
    assert "server stops" in job.history[-1].reason


def test_who_takes_a_running_job_away_tells_its_worker(rocketjob):
    told = []

    class Pool:
        def interrupt(self, id):
            told.append(id)

    job = LoopingUntilJob.create()
    queued = LoopingUntilJob.create()
    with running_pool(rocketjob, threads=1), WorkerSubscriber.subscribed(Pool()):
        gate.wait_for_entry()
        queued.abort()
        job.reload().abort()
    stored = rocketjob.store.collection("rocket_job.events").find({"name": "worker"})
    assert [event["parameters"] for event in stored] == [{"job_id": str(job.id)}]


def test_an_abort_is_a_lost_claim_so_that_nobody_takes_it_for_a_failure():
    assert issubclass(JobAborted, ClaimLost)
    assert not issubclass(ServerStopping, ClaimLost)


class SteppingUntilJob(Resumable, Job):
    destroy_on_complete = False
    seen: list[int] = field(factory=list)

    def perform(self):
        for number in self.resumable(range(10), every=1000):
            self.seen = [*self.seen, number]
            if number == self.stops_after and self.resumes == {}:
                clock.travel(HOUR)
                if self.timeout is None:
                    gate.entered.release()
                    self.sleep(HOUR)

    stops_after: int = 4


def test_a_resumable_loop_goes_on_after_the_row_at_which_its_time_was_up(rocketjob):
    job = SteppingUntilJob.create(timeout=HOUR)
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.exception.class_name) == ("failed", "JobTimeout")
    job.retry()
    rocketjob.work_off()
    assert (job.reload().state, job.seen) == ("completed", [*range(10)])


def test_a_field_of_that_name_that_is_something_else_is_refused(rocketjob):
    class OtherTimeoutJob(Job):
        timeout: int = 5

        def perform(self): ...

    with pytest.raises(TypeError, match=r"OtherTimeoutJob\.timeout must be a timedelta or None"):
        OtherTimeoutJob.create()
