"""The mixin Retry."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import (
    ConfigurationError,
    Job,
    ValidationError,
    WorkerCrashed,
    after,
    before,
    hookimpl,
    validate,
)
from rocketjob_plugins.retry import Retry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class RetriedReportJob(Retry, Job):
    destroy_on_complete = False
    good_after: int = 0

    def perform(self):
        if self.failure_count < self.good_after:
            raise RuntimeError(f"attempt {self.failure_count + 1}")


@pytest.fixture(autouse=True)
def _at_a_fixed_time(rocketjob):
    rocketjob.freeze(NOW)


def work(rocketjob):
    """Go to the time at which the one job is due, and work it."""
    job = Job.first()
    if job.run_at:
        rocketjob.travel(max(job.run_at, NOW))
    assert rocketjob.work_off() == 1
    return job.reload()


# --- the original's examples ------------------------------------------------------------------


def test_it_is_retried_until_it_succeeds(rocketjob):
    job = RetriedReportJob.create(good_after=5)
    delays = []
    for _ in range(5):
        found = work(rocketjob)
        assert found.is_queued
        delays.append((found.run_at - found.failed_at_list[-1]).total_seconds())
    assert delays == [6, 21, 86, 261, 630]
    assert work(rocketjob).is_completed
    assert (job.reload().failure_count, job.retry_count) == (5, 5)


def test_the_limit_of_three_keeps_the_fourth_failure(rocketjob):
    RetriedReportJob.create(good_after=99, retry_limit=3)
    assert [work(rocketjob).state for _ in range(4)] == ["queued"] * 3 + ["failed"]


def test_the_default_is_25_attempts_in_about_25_days(rocketjob):
    job = RetriedReportJob()
    seconds = sum(job.retry_delay(attempt) for attempt in range(1, 26))
    assert job.retry_limit == 25
    assert 24 < seconds / 86400 < 26


# --- details ----------------------------------------------------------------------------------


def test_a_limit_of_0_retries_nothing(rocketjob):
    RetriedReportJob.create(good_after=9, retry_limit=0)
    assert work(rocketjob).is_failed


def test_the_exception_is_visible_while_it_waits_and_cleared_when_it_succeeds(rocketjob):
    RetriedReportJob.create(good_after=1)
    waiting = work(rocketjob)
    assert (waiting.exception.class_name, waiting.exception.message) == (
        "RuntimeError",
        "attempt 1",
    )
    assert (waiting.completed_at, waiting.worker_name) == (None, None)
    assert work(rocketjob).exception is None


def test_every_attempt_is_in_the_history(rocketjob):
    RetriedReportJob.create(good_after=2)
    for _ in range(3):
        job = work(rocketjob)
    assert [(e.event, e.reason) for e in job.history if e.reason] == [
        ("fail", "RuntimeError: attempt 1"),
        ("fail", "RuntimeError: attempt 2"),
    ]
    assert [e.event for e in job.history][:3] == ["start", "fail", "retry"]


def test_it_is_never_stored_as_failed(rocketjob):
    from rocketjob import hookimpl

    seen = []

    class Watch:
        @hookimpl
        def state_changed(self, job):
            seen.append(Job.collection().find_one({"_id": job.id})["state"])

    rocketjob.plugins.register(Watch())
    RetriedReportJob.create(good_after=9)
    work(rocketjob)
    assert seen
    assert "failed" not in seen


def test_an_expired_job_is_not_retried(rocketjob):
    class ExpiringJob(RetriedReportJob):
        def perform(self):
            rocketjob.travel(timedelta(hours=1))
            super().perform()

    ExpiringJob.create(good_after=9, expires_at=NOW + timedelta(minutes=1))
    assert work(rocketjob).is_failed


def test_an_invalid_job_is_not_retried(rocketjob):
    class PickyJob(RetriedReportJob):
        @validate
        def only_once(self):
            if self.failure_count:
                self.errors.add("failure_count", "may not have failed")

    PickyJob.create(good_after=9)
    assert work(rocketjob).is_failed


def test_only_errors_that_are_named_are_retried(rocketjob):
    class NetworkJob(Retry, Job):
        retry_on = (ConnectionError,)
        kind: str

        def perform(self):
            raise {"reset": ConnectionResetError, "value": ValueError}[self.kind]

    reset, value = NetworkJob.create(kind="reset"), NetworkJob.create(kind="value")
    assert rocketjob.work_off() == 2
    assert (reset.reload().state, value.reload().state) == ("queued", "failed")


def test_a_crash_of_its_worker_is_not_retried(rocketjob):
    job = RetriedReportJob.create()
    job.start()
    job.fail(WorkerCrashed("killed by signal 9"))
    assert job.reload().is_failed


def test_it_is_unless_it_is_named(rocketjob):
    class StubbornRetryJob(RetriedReportJob):
        retry_on = (WorkerCrashed,)

    job = StubbornRetryJob.create()
    job.start()
    job.fail(WorkerCrashed("killed by signal 9"))
    assert job.reload().is_queued


def test_the_delay_can_be_overridden(rocketjob):
    class SteadyJob(RetriedReportJob):
        def retry_delay(self, attempt):
            return timedelta(minutes=attempt)

    SteadyJob.create(good_after=9)
    assert work(rocketjob).run_at == NOW + timedelta(minutes=1)


def test_jitter_adds_a_share_of_the_delay(rocketjob):
    class JitterJob(RetriedReportJob):
        retry_jitter = 0.5

        def retry_delay(self, attempt):
            return 100

    delays = {JitterJob()._delay(1).total_seconds() for _ in range(50)}
    assert len(delays) > 10
    assert all(100 <= delay <= 150 for delay in delays)


def test_a_delay_is_never_negative_nor_beyond_a_year(rocketjob):
    class OddDelayJob(RetriedReportJob):
        retry_limit = 10**9

        def retry_delay(self, attempt):
            return -5 if attempt == 1 else 10.0**30

    assert OddDelayJob()._delay(1) == timedelta(0)
    assert OddDelayJob()._delay(2) == timedelta(days=365)


def test_a_delay_that_raises_leaves_the_job_failed_with_its_own_error(rocketjob):
    class BrokenDelayJob(RetriedReportJob):
        def retry_delay(self, attempt):
            raise ZeroDivisionError

    BrokenDelayJob.create(good_after=9)
    job = work(rocketjob)
    assert (job.state, job.exception.message) == ("failed", "attempt 1")


def test_a_manual_retry_clears_the_exception_and_grants_all_attempts_again(rocketjob):
    job = RetriedReportJob.create(good_after=9, retry_limit=1)
    work(rocketjob)
    work(rocketjob)
    job.reload().retry()
    assert (job.exception, job.retry_count) == (None, 0)
    assert work(rocketjob).is_queued
    assert work(rocketjob).is_failed


def test_inline_it_is_retried_in_memory(rocketjob):
    job = RetriedReportJob(good_after=9)
    with pytest.raises(RuntimeError):
        job.perform_now()
    assert (job.state, job.is_new, Job.count()) == ("queued", True, 0)


def test_callbacks_of_fail_and_retry_run(rocketjob):
    ran = []

    class HeardJob(RetriedReportJob):
        @before("fail")
        def heard_fail(self):
            ran.append("fail")

        @before("retry")
        def heard_retry(self):
            ran.append("retry")

    HeardJob.create(good_after=9)
    work(rocketjob)
    assert ran == ["fail", "retry"]


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [None, -1, "3", 2.5, True])
def test_a_bad_limit_is_a_validation_error(rocketjob, bad):
    with pytest.raises(ValidationError) as refused:
        RetriedReportJob.create(retry_limit=bad)
    assert list(refused.value.errors) == ["retry_limit"]


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("retry_jitter", 2),
        ("retry_jitter", -0.1),
        ("retry_jitter", "much"),
        ("retry_jitter", None),
        ("retry_on", ConnectionError),
        ("retry_on", ("ConnectionError",)),
        ("retry_on", [ValueError]),
    ],
)
def test_a_bad_class_attribute_is_an_error_when_the_class_is_made(name, bad):
    with pytest.raises(ConfigurationError, match=f"WrongRetryJob.{name} must be"):
        type("WrongRetryJob", (Retry, Job), {name: bad, "__module__": __name__})


# --- giving up ----------------------------------------------------------------------------------


class ExhaustedJob(Retry, Job):
    retry_limit = 2

    def perform(self):
        raise OSError("no")

    @after("exhausted")
    def tell(self):
        told.append((self.failure_count, self.reload().state))


told = []


def run_for(rocketjob, minutes):
    for _ in range(minutes):
        rocketjob.work_off()
        rocketjob.travel(timedelta(minutes=1))


def test_exhausted_is_told_once_when_the_last_attempt_has_failed_and_is_stored(rocketjob):
    told.clear()
    ExhaustedJob.create()
    run_for(rocketjob, 5)
    assert told == [(3, "failed")]


def test_a_job_that_is_retried_by_hand_has_all_its_attempts_again(rocketjob):
    told.clear()
    job = ExhaustedJob.create()
    run_for(rocketjob, 5)
    job.reload().retry()
    assert job.reload().failed_at_list == []
    run_for(rocketjob, 5)
    assert (job.reload().failure_count, told) == (6, [(3, "failed"), (6, "failed")])


def test_a_job_that_is_not_to_be_retried_is_not_exhausted(rocketjob):
    class OnlyConnectionsJob(ExhaustedJob):
        retry_on = (ConnectionError,)

    told.clear()
    OnlyConnectionsJob.create()
    ExhaustedJob.create(retry_limit=0)
    run_for(rocketjob, 3)
    assert told == []


# --- the hook backoff --------------------------------------------------------------------------


class PatientPayJob(Retry, Job):
    def perform(self):
        raise ConnectionError("down")


class OwnDelayJob(PatientPayJob):
    def retry_delay(self, attempt):
        return 1


def delay_with(rocketjob, cls, returned, name="patience"):
    """Return the seconds that a job waits where a plugin has this to say."""
    seen = []

    class Patience:
        @hookimpl
        def backoff(self, job, attempt, exception):
            seen.append((type(job), attempt, type(exception)))
            return returned() if callable(returned) else returned

    rocketjob.plugins.register(Patience(), name)
    rocketjob.freeze()
    job = cls.create()
    rocketjob.work_off(1)
    job.reload()
    return (job.run_at - job.failed_at_list[0]).total_seconds(), seen


@pytest.mark.parametrize(
    ("returned", "seconds"), [(600, 600), (timedelta(minutes=1), 60), (0, 0), (None, 6)]
)
def test_a_plugin_says_how_long_a_failed_job_waits(rocketjob, returned, seconds):
    assert delay_with(rocketjob, PatientPayJob, returned) == (
        seconds,
        [(PatientPayJob, 1, ConnectionError)],
    )


def test_a_class_that_has_its_own_delay_keeps_it(rocketjob):
    assert delay_with(rocketjob, OwnDelayJob, 600) == (1, [])


@pytest.mark.parametrize(
    "wrong", [-1, "soon", True, float("nan"), float("inf"), timedelta(-1), lambda: 1 / 0]
)
def test_a_plugin_that_fails_or_says_nonsense_counts_for_nothing_and_is_named(rocketjob, wrong):
    seconds, _ = delay_with(rocketjob, PatientPayJob, wrong, "hasty")
    assert seconds == 6
    (problem,) = rocketjob.plugins.problems
    assert "The plugin hasty" in problem
    assert "backoff" in problem
