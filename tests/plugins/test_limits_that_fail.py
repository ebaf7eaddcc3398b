"""Limits that fail hold their jobs back; those that are full starve nobody behind them."""

import logging
from datetime import timedelta

import pytest

from rocketjob import Job, hookimpl
from rocketjob.queue.limits import Limit
from rocketjob_plugins.throttle import Throttle, throttle
from support.jobs import KeptJob, PassingJob

RE_CHECK = timedelta(seconds=61)


class Ending(BaseException):
    """Of an app's own making."""


class OfOneKeyJob(Throttle, Job):
    throttle_running_jobs = 1
    throttle_key = lambda job: job.customer  # noqa: E731
    customer: int

    def perform(self): ...


class FailingLimit(Limit):
    def free(self, store, now, session=None):
        raise ZeroDivisionError("no places to divide")


class FailingTake(Limit):
    def take(self, store, now, session=None):
        raise Ending("cannot note the start")


def limit_of(cls, maximum=5):
    return cls(name="own", key="own", maximum=maximum, counts={"_type": "x"}, blocks={"_type": "x"})


def raising(error):
    def claim_limits(self):
        raise error

    return claim_limits


FAILING = {
    "raises": raising(RuntimeError("the limit's table cannot be read")),
    "raises SystemExit": raising(SystemExit(3)),
    "raises its own": raising(Ending("over")),
    "returns None": lambda self: None,
    "returns a word": lambda self: "none",
    "returns other things": lambda self: [3],
    "cannot count": lambda self: [limit_of(FailingLimit)],
    "cannot take": lambda self: [limit_of(FailingTake)],
}


@pytest.mark.parametrize("how", FAILING)
def test_a_job_whose_limits_fail_is_deferred_and_asked_again(rocketjob, caplog, how):
    class LimitedByItselfJob(PassingJob):
        claim_limits = FAILING[how]

    job, other = LimitedByItselfJob.create(priority=1), KeptJob.create()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            rocketjob.work_off()
    assert other.reload().is_completed
    assert job.reload().is_queued
    assert [r.message for r in caplog.records].count("deferred: its limits fail") == 1
    if how != "cannot take":  # that is known at a claim only
        assert "its limits fail, which holds it back: " in str(job.explain())
    LimitedByItselfJob.claim_limits = lambda self: []
    assert rocketjob.work_off() == 0
    rocketjob.travel(RE_CHECK)
    assert rocketjob.work_off() == 1


def test_where_many_jobs_of_a_class_fail_the_whole_class_is_left_alone(rocketjob):
    class FailingManyJob(PassingJob):
        asked = 0

        def claim_limits(self):
            type(self).asked += 1
            raise RuntimeError("no")

    FailingManyJob.create_many([{}] * 100)
    rocketjob.work_off()
    before = FailingManyJob.asked
    rocketjob.work_off()
    assert FailingManyJob.asked == before


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), Ending("over")])
def test_a_throttle_that_ends_the_program_holds_back(rocketjob, error):
    class EndingThrottleJob(Throttle, Job):
        def perform(self): ...

        @throttle
        def ask(self) -> bool:
            raise error

    job = EndingThrottleJob.create()
    assert rocketjob.work_off() == 0
    assert job.reload().is_queued
    assert f"the throttle ask fails: {type(error).__name__}" in str(job.explain())


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), Ending("over")])
def test_a_veto_that_fails_holds_back(rocketjob, error):
    class Vetoing:
        fails = True

        @hookimpl
        def veto_claim(self, job):
            if self.fails:
                raise error

    vetoing = Vetoing()
    rocketjob.plugins.register(vetoing)
    job = KeptJob.create()
    assert rocketjob.work_off() == 0
    assert job.reload().is_queued
    vetoing.fails = False
    rocketjob.travel(RE_CHECK)
    assert rocketjob.work_off() == 1


# --- full ones, and who is behind them -----------------------------------------------------------


@pytest.mark.parametrize("keys", [1_001, 5_000])
def test_jobs_behind_any_number_of_full_limits_are_claimed(rocketjob, keys):
    OfOneKeyJob.create_many([{"customer": number} for number in range(keys)])
    while rocketjob.queue.claim(1_000):
        pass
    assert OfOneKeyJob.running().count() == keys
    OfOneKeyJob.create_many([{"customer": number, "priority": 10} for number in range(keys)])
    PassingJob.create_many([{}] * 3)
    assert [type(job) for job in rocketjob.queue.claim(10)] == [PassingJob] * 3


def test_a_claim_that_is_cut_short_goes_on_where_it_was(rocketjob):
    rocketjob.freeze()
    OfOneKeyJob.create_many([{"customer": number} for number in range(1_100)])
    while rocketjob.queue.claim(1_000):
        pass
    rocketjob.travel(timedelta(minutes=5))
    OfOneKeyJob.create_many([{"customer": number, "priority": 10} for number in range(1_100)])
    PassingJob.create()
    claims = [rocketjob.queue.claim(1, patience=0) for _ in range(3)]
    assert [len(jobs) for jobs in claims] == [0, 0, 1]


def test_the_head_of_those_that_wait_is_looked_at_again_after_a_while(rocketjob):
    OfOneKeyJob.create_many([{"customer": number} for number in range(1_100)])
    while claimed := rocketjob.queue.claim(1_000):
        first = claimed[0]
    OfOneKeyJob.create_many([{"customer": number, "priority": 10} for number in range(1_100)])
    assert rocketjob.queue.claim(1) == []
    customer = first.customer
    first.abort()
    assert 0 < rocketjob.queue.lookout.looks_again_in < float("inf")
    rocketjob.travel(timedelta(minutes=5))
    (claimed,) = rocketjob.queue.claim(5)
    assert claimed.customer == customer


def test_limits_that_share_a_key_are_full_each_at_its_own_maximum(rocketjob):
    class SmallShareJob(OfOneKeyJob):
        throttle_group = "shared"
        throttle_running_jobs = 1

    class LargeShareJob(OfOneKeyJob):
        throttle_group = "shared"
        throttle_running_jobs = 3

    SmallShareJob.create_many([{"customer": 1, "priority": 1}] * 2)
    LargeShareJob.create_many([{"customer": 1}] * 3)
    found = [type(job).__name__ for job in rocketjob.queue.claim(10)]
    assert found == ["SmallShareJob", "LargeShareJob", "LargeShareJob"]


def of_many_keys_that_all_wait(rocketjob, count=1_100):
    """Have a job of each key run, and one wait before all others; return those that run."""
    OfOneKeyJob.create_many([{"customer": number} for number in range(count)])
    running = []
    while claimed := rocketjob.queue.claim(1_000):
        running += claimed
    OfOneKeyJob.create_many([{"customer": number, "priority": 10} for number in range(count)])
    return running


def test_a_place_that_becomes_free_among_many_that_wait_is_noticed_at_once(rocketjob):
    running = of_many_keys_that_all_wait(rocketjob)
    assert rocketjob.queue.claim(1) == []
    last = running[-1]
    last.complete()
    assert [job.customer for job in rocketjob.queue.claim(5)] == [last.customer]


def test_the_end_of_a_job_that_holds_no_place_makes_nobody_look_again(rocketjob):
    of_many_keys_that_all_wait(rocketjob)
    free = PassingJob.create()
    (claimed,) = rocketjob.queue.claim(1)
    assert claimed.id == free.id
    rocketjob.queue.lookout._looks_again_at = 1e18  # however slow the machine is
    before = rocketjob.queue.lookout._holders
    claimed.complete()
    assert rocketjob.queue.claim(1) == []
    assert rocketjob.queue.lookout._holders is before


def test_a_quarantined_job_behind_many_that_wait_is_seen(rocketjob):
    of_many_keys_that_all_wait(rocketjob, 300)
    assert not rocketjob.queue.could_start()
    PassingJob.create()
    assert rocketjob.queue.could_start()
