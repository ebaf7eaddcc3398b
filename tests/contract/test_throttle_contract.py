"""Everything built in that holds jobs back keeps the contract, and whatever breaks it is found."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Hold, Job, hookimpl
from rocketjob.testing.throttle_contract import ThrottleContract
from rocketjob_plugins.processing_window import ProcessingWindow
from rocketjob_plugins.throttle import Throttle, ThrottleDependentJobs, throttle
from support.suites import failures

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
busy = {"is": False}


class AskingContractJob(Throttle, Job):
    @throttle
    def is_busy(self) -> str | None:
        return "it is busy" if busy["is"] else None

    def perform(self): ...


class LimitedContractJob(Throttle, Job):
    throttle_running_jobs = 1

    def perform(self): ...


class RatedContractJob(Throttle, Job):
    rate_limit = "3/minute"

    def perform(self): ...


class DependentContractJob(ThrottleDependentJobs, Job):
    dependent_jobs = ["LimitedContractJob"]

    def perform(self): ...


class WindowContractJob(ProcessingWindow, Job):
    processing_schedule = "0 9 * * * UTC"
    processing_duration = timedelta(hours=8)

    def perform(self): ...


class VetoedContractJob(Job):
    def perform(self): ...


class Busy(ThrottleContract):
    def hold(self, rocketjob):
        busy["is"] = True

    def release(self, rocketjob):
        busy["is"] = False


class TestThrottle(Busy):
    job_class, reason = AskingContractJob, "is_busy"


class Holding(ThrottleContract):
    """Others hold the places."""

    asks = False

    def hold(self, rocketjob):
        LimitedContractJob.create(description="holder").start()

    def release(self, rocketjob):
        for job in LimitedContractJob.where({"description": "holder", "state": "running"}):
            job.complete()


class TestLimit(Holding):
    job_class, reason = LimitedContractJob, "throttle_running_jobs"


class TestDependent(Holding):
    job_class, reason = DependentContractJob, "dependent_jobs"


class TestRate(ThrottleContract):
    job_class, reason, asks = RatedContractJob, "rate_limit", False

    def hold(self, rocketjob):
        RatedContractJob.create_many([{}] * 3)
        rocketjob.work_off()

    def release(self, rocketjob):
        rocketjob.travel(timedelta(minutes=1))


class TestWindow(ThrottleContract):
    job_class, reason, asks = WindowContractJob, "processing_window", False

    def hold(self, rocketjob):
        rocketjob.travel(NOON + timedelta(hours=8))

    def release(self, rocketjob):
        rocketjob.travel(NOON + timedelta(days=1))


class Vetoing:
    @hookimpl
    def veto_claim(self, job):
        if type(job) is VetoedContractJob and busy["is"]:
            return Hold("vetoed", "not now", {"_type": "VetoedContractJob"})
        return None


class TestVeto(Busy):
    job_class, reason = VetoedContractJob, "vetoed"

    @pytest.fixture(autouse=True)
    def _with_a_plugin(self, monkeypatch):
        monkeypatch.setattr(TestVeto, "settings", {"plugins": ["store-sqlite", Vetoing()]})


# --- what breaks it ------------------------------------------------------------------------------


class FailingVetoJob(VetoedContractJob):
    """Fails instead of waiting."""

    def perform(self):
        if busy["is"]:
            raise RuntimeError("busy")


def test_a_job_that_fails_instead_of_waiting_is_found():
    class Wrong(Busy):
        job_class, reason = FailingVetoJob, "busy"

    assert {
        "jobs_that_must_wait_are_not_performed",
        "no_job_fails_of_it",
        "every_job_that_waits_says_why",
    } <= failures(Wrong).keys()


def test_a_throttle_that_never_lets_go_is_found():
    class Wrong(Busy):
        job_class, reason = AskingContractJob, "is_busy"

        def release(self, rocketjob):
            busy["is"] = True

    assert {
        "jobs_that_may_start_are_performed",
        "they_are_performed_when_they_may_start_again",
    } <= failures(Wrong).keys()


def test_a_reason_of_another_name_is_found():
    class Wrong(Busy):
        job_class, reason = AskingContractJob, "is_bussy"

    assert "every_job_that_waits_says_why" in failures(Wrong)
