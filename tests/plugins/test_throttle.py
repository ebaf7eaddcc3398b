"""Throttle and ThrottleDependentJobs, in one process; see test_limits.py for many."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob import ConfigurationError, Job, ValidationError
from rocketjob.testing import sandbox
from rocketjob.testing.store_contract.quiet import wakes
from rocketjob_plugins.throttle import (
    Rate,
    Throttle,
    ThrottleDependentJobs,
    this_job,
    throttle,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TwoAtOnceJob(Throttle, Job):
    throttle_running_jobs = 2
    destroy_on_complete = False

    def perform(self): ...


class ThreeOfMysqlJob(Throttle, Job):
    throttle_running_jobs = 3
    throttle_group = "mysql"

    def perform(self): ...


class FiveOfMysqlJob(Throttle, Job):
    throttle_running_jobs = 5
    throttle_group = "mysql"

    def perform(self): ...


class PerAccountThrottledJob(Throttle, Job):
    throttle_running_jobs = 1
    throttle_key = lambda job: job.account_id  # noqa: E731
    account_id: int | None = None

    def perform(self): ...


class TenAMinuteJob(Throttle, Job):
    rate_limit = "10/minute"
    destroy_on_complete = False

    def perform(self): ...


lag = {"seconds": 0}


class ReplicaJob(Throttle, Job):
    """The example of the original's guide."""

    destroy_on_complete = False

    def perform(self): ...

    @throttle
    def mysql_throttle_exceeded(self) -> bool:
        """The replica lags behind."""
        return lag["seconds"] >= 300


@pytest.fixture(autouse=True)
def _fresh(rocketjob):
    rocketjob.freeze(NOW)
    lag["seconds"] = 0


def claim(rocketjob, count=100):
    return rocketjob.queue.claim(count)


# --- throttle_running_jobs --------------------------------------------------------------------


def test_no_more_run_than_the_limit(rocketjob):
    TwoAtOnceJob.create_many([{} for _ in range(5)])
    first = claim(rocketjob)
    assert (len(first), claim(rocketjob)) == (2, [])
    first[0].complete()
    assert len(claim(rocketjob)) == 1


def test_only_running_jobs_hold_a_place(rocketjob):
    for event in ("pause", "fail", "abort"):
        getattr(TwoAtOnceJob.create(), event)()
    TwoAtOnceJob.create_many([{}, {}])
    assert len(claim(rocketjob)) == 2


def test_the_most_urgent_go_first(rocketjob):
    TwoAtOnceJob.create_many([{"priority": p} for p in (50, 3, 40, 2)])
    assert [job.priority for job in claim(rocketjob)] == [2, 3]


def test_what_is_behind_a_job_that_waits_still_goes(rocketjob):
    class BehindJob(Job):
        def perform(self): ...

    TwoAtOnceJob.create_many([{"priority": 1} for _ in range(200)])
    BehindJob.create_many([{"priority": 90} for _ in range(3)])
    assert Counter(type(job).__name__ for job in claim(rocketjob)) == {
        "TwoAtOnceJob": 2,
        "BehindJob": 3,
    }


def test_classes_of_a_group_share_its_places_each_up_to_its_own_limit(rocketjob):
    rows = [{"priority": p} for p in range(1, 11)]
    FiveOfMysqlJob.create_many(rows)
    ThreeOfMysqlJob.create_many(rows)
    found = Counter(type(job).__name__ for job in claim(rocketjob))
    assert found.total() == 5
    assert found["ThreeOfMysqlJob"] <= 3


def test_a_group_is_not_exceeded_within_one_claim(rocketjob):
    FiveOfMysqlJob.create_many([{} for _ in range(10)])
    ThreeOfMysqlJob.create_many([{"priority": 1} for _ in range(10)])
    found = Counter(type(job).__name__ for job in claim(rocketjob))
    assert found == {"ThreeOfMysqlJob": 3, "FiveOfMysqlJob": 2}


def test_a_key_counts_for_itself(rocketjob):
    for account in (1, 2, None):
        PerAccountThrottledJob.create_many([{"account_id": account} for _ in range(3)])
    found = claim(rocketjob)
    assert sorted(str(job.account_id) for job in found) == ["1", "2", "None"]
    assert claim(rocketjob) == []


def test_very_many_keys_that_wait_are_looked_past(rocketjob):
    rows = [{"account_id": account, "priority": 5} for account in range(300)]
    PerAccountThrottledJob.create_many([*rows, *rows])
    assert len(claim(rocketjob, 300)) == 300
    late = PerAccountThrottledJob.create(account_id=-1, priority=90)
    assert [job.id for job in claim(rocketjob)] == [late.id]


def test_the_value_of_the_key_follows_the_fields_while_it_waits(rocketjob):
    job = PerAccountThrottledJob.create(account_id=1)
    job.update(account_id=2)
    assert job.reload().throttle_value == 2


@pytest.mark.parametrize("none", [None, 0])
def test_none_and_0_are_no_limit(rocketjob, none):
    class UnlimitedJob(Throttle, Job):
        throttle_running_jobs = none

        def perform(self): ...

    UnlimitedJob.create_many([{} for _ in range(5)])
    assert len(claim(rocketjob)) == 5


def test_a_worker_that_is_killed_leaves_no_place_taken(rocketjob):
    from rocketjob.queue.reclaim import requeue_claims

    TwoAtOnceJob.create_many([{} for _ in range(3)])
    claim(rocketjob)  # and never heard of again
    requeue_claims(rocketjob.store, rocketjob.plugins, "test.1", crash_limit=3)
    assert TwoAtOnceJob.running().count() == 0
    assert len(claim(rocketjob)) == 2


def test_a_stored_job_that_cannot_be_loaded_does_not_stop_the_claim(rocketjob):
    bad, good = TwoAtOnceJob.create(), TwoAtOnceJob.create()
    TwoAtOnceJob.collection().update_one(
        {"_id": bad.id}, {"$set": {"run_at": None, "log_level": {}}}
    )
    TwoAtOnceJob.collection().update_one(
        {"_id": bad.id}, {"$set": {"failed_at": 1, "exception": 5}}
    )
    assert good.id in [job.id for job in claim(rocketjob)]


# --- why it waits -----------------------------------------------------------------------------


def test_the_reason_is_stored_on_the_first_that_waits_and_removed_by_its_claim(rocketjob):
    jobs = TwoAtOnceJob.create_many([{} for _ in range(4)])
    running = claim(rocketjob)
    waiting = jobs[2].reload()
    assert (waiting.throttled_by, waiting.throttled_since) == ("throttle_running_jobs", NOW)
    rocketjob.travel(timedelta(minutes=1))
    claim(rocketjob)
    assert waiting.reload().throttled_since == NOW
    running[0].complete()
    (claimed,) = claim(rocketjob)
    assert (claimed.id, claimed.throttled_by) == (waiting.id, None)
    claimed.complete()
    assert (claimed.reload().throttled_by, claimed.throttled_since) == (None, None)


@pytest.mark.both_stores
def test_an_idle_claim_writes_nothing_more(rocketjob):
    TwoAtOnceJob.create_many([{} for _ in range(4)])
    claim(rocketjob)
    claim(rocketjob)
    assert not wakes(rocketjob.store, lambda: claim(rocketjob))


def test_a_job_that_is_aborted_waits_for_nothing(rocketjob):
    jobs = TwoAtOnceJob.create_many([{} for _ in range(3)])
    claim(rocketjob)
    job = jobs[2].reload()
    assert job.throttled_by
    job.abort()
    assert (job.reload().throttled_by, job.throttled_since) == (None, None)


# --- rate_limit -------------------------------------------------------------------------------


def test_no_more_start_in_a_minute_than_the_rate(rocketjob):
    TenAMinuteJob.create_many([{} for _ in range(25)])
    assert rocketjob.work_off() == 10
    rocketjob.travel(timedelta(seconds=59.999))
    assert rocketjob.work_off() == 0
    rocketjob.travel(timedelta(seconds=0.001))
    assert rocketjob.work_off() == 10


def test_a_key_has_a_rate_of_its_own(rocketjob):
    class RatePerAccountJob(PerAccountThrottledJob):
        throttle_running_jobs = None
        rate_limit = "2/hour"

    for account in (1, 2):
        RatePerAccountJob.create_many([{"account_id": account} for _ in range(3)])
    assert rocketjob.work_off() == 4


def test_rates_of_one_group_count_the_same_starts(rocketjob):
    class SlowApiJob(Throttle, Job):
        throttle_group, rate_limit = "api", "2/minute"

        def perform(self): ...

    class FastApiJob(Throttle, Job):
        throttle_group, rate_limit = "api", "5/minute"

        def perform(self): ...

    SlowApiJob.create_many([{"priority": 1} for _ in range(9)])
    FastApiJob.create_many([{"priority": 2} for _ in range(9)])
    ran = Counter(type(job).__name__ for job in claim(rocketjob))
    assert ran == {"SlowApiJob": 2, "FastApiJob": 3}
    assert claim(rocketjob) == []


@settings(max_examples=30)
@given(
    rate=st.integers(1, 5),
    period=st.integers(1, 20),
    steps=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 7)), max_size=25),
)
def test_no_window_of_the_period_ever_holds_more_starts(rate, period, steps):
    class PropertyRateJob(Throttle, Job):
        rate_limit = f"{rate}/{period}seconds"
        destroy_on_complete = False

        def perform(self): ...

    with sandbox() as rocketjob:
        rocketjob.freeze(NOW)
        PropertyRateJob.create_many([{} for _ in range(60)])
        starts = []
        for milliseconds, wanted in steps:
            rocketjob.travel(timedelta(milliseconds=milliseconds))
            starts += [job.started_at for job in rocketjob.queue.claim(wanted)]
        for first, last in zip(starts, starts[rate:], strict=False):
            assert last - first >= timedelta(seconds=period)
        rocketjob.travel(timedelta(seconds=period))
        assert len(rocketjob.queue.claim(100)) == rate


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("100/minute", 100, 60),
        ("5 / second", 5, 1),
        ("10/5seconds", 10, 5),
        ("1/2 days", 1, 172800),
    ],
)
def test_rates_are_parsed(text, count, seconds):
    assert Rate.parse(text) == Rate(count, timedelta(seconds=seconds))


# --- rules of one's own -----------------------------------------------------------------------


def test_an_exceeded_throttle_gives_the_job_back_and_says_why(rocketjob):
    lag["seconds"] = 400
    job = ReplicaJob.create()
    assert rocketjob.work_off() == 0
    assert (job.reload().state, job.throttled_by) == ("queued", "mysql_throttle_exceeded")
    assert (job.throttled_since, job.started_at) == (NOW, None)


def test_it_is_asked_again_after_the_re_check(rocketjob, monkeypatch):
    lag["seconds"] = 400
    job = ReplicaJob.create()
    rocketjob.work_off()
    lag["seconds"] = 0
    assert rocketjob.work_off() == 0
    rocketjob.queue.eligible.deferred.clear()  # as after re_check_seconds
    assert rocketjob.work_off() == 1
    assert job.reload().is_completed


def test_since_when_it_waits_is_kept_through_re_checks(rocketjob):
    lag["seconds"] = 400
    job = ReplicaJob.create()
    for _ in range(3):
        rocketjob.work_off()
        rocketjob.travel(timedelta(minutes=1))
        rocketjob.queue.eligible.deferred.clear()
    assert job.reload().throttled_since == NOW


def test_other_classes_go_on_meanwhile(rocketjob):
    lag["seconds"] = 400
    ReplicaJob.create_many([{"priority": 1} for _ in range(3)])
    TwoAtOnceJob.create()
    assert rocketjob.work_off() == 1


def test_a_filter_of_this_job_lets_its_like_go_on(rocketjob):
    class OddOnesWaitJob(Throttle, Job):
        number: int = 0

        def perform(self): ...

        @throttle(filter=this_job)
        def is_odd(self) -> bool:
            return self.number % 2 == 1

    OddOnesWaitJob.create_many([{"number": n} for n in range(10)])
    assert rocketjob.work_off() == 5
    assert OddOnesWaitJob.queued().count() == 5


@pytest.mark.parametrize(
    "filter", [{"throttle_group": "mysql"}, lambda job: {"throttle_group": job.throttle_group}]
)
def test_a_filter_can_be_any_query(rocketjob, filter):
    class GroupWaitsJob(Throttle, Job):
        throttle_group = "mysql"

        def perform(self): ...

        @throttle(filter=filter)
        def always(self) -> bool:
            return True

    GroupWaitsJob.create(priority=1)
    FiveOfMysqlJob.create()
    TwoAtOnceJob.create()
    assert rocketjob.work_off() == 1
    assert FiveOfMysqlJob.queued().count() == 1


def test_throttles_are_inherited_and_can_be_undefined(rocketjob):
    class ChildReplicaJob(ReplicaJob):
        @throttle
        def another(self) -> bool:
            return False

    assert ChildReplicaJob.throttles() == ["mysql_throttle_exceeded", "another"]
    ChildReplicaJob.undefine_throttle("mysql_throttle_exceeded")
    assert ChildReplicaJob.throttles() == ["another"]
    assert ReplicaJob.throttles() == ["mysql_throttle_exceeded"]
    with pytest.raises(ValueError, match="ChildReplicaJob has no throttle nothing; it has another"):
        ChildReplicaJob.undefine_throttle("nothing")
    lag["seconds"] = 400
    ChildReplicaJob.create()
    assert rocketjob.work_off() == 1


@pytest.mark.parametrize("answer", [1, None, "", " "])
def test_a_throttle_that_answers_otherwise_holds_back_and_fails_nothing(rocketjob, answer):
    class UnclearJob(Throttle, Job):
        def perform(self): ...

        @throttle
        def unclear(self):
            return answer

    job = UnclearJob.create()
    assert rocketjob.work_off() == 0
    assert (job.reload().state, job.throttled_by) == ("queued", "unclear")
    assert "must return True or False" in str(job.explain())


def test_a_throttle_that_raises_holds_back_and_fails_nothing(rocketjob):
    class UnreachableJob(Throttle, Job):
        def perform(self): ...

        @throttle
        def ask_the_database(self) -> bool:
            raise ConnectionError("no route to host")

    job = UnreachableJob.create()
    assert rocketjob.work_off() == 0
    assert job.reload().is_queued
    assert "ask_the_database fails: ConnectionError: no route to host" in str(job.explain())


# --- dependent jobs ---------------------------------------------------------------------------


class FirstDependencyJob(Job):
    def perform(self): ...


class SecondDependencyJob(Job):
    def perform(self): ...


class LaterDependentJob(ThrottleDependentJobs, Job):
    dependent_jobs = ["FirstDependencyJob", "SecondDependencyJob"]

    def perform(self): ...


@pytest.mark.parametrize("other", [FirstDependencyJob, SecondDependencyJob])
def test_it_waits_while_a_job_that_it_depends_on_is_running(rocketjob, other):
    LaterDependentJob.create_many([{}, {}])
    running = other.create()
    running.start()
    assert claim(rocketjob) == []
    assert LaterDependentJob.first().throttled_by == "dependent_jobs"
    running.complete()
    assert len(claim(rocketjob)) == 2


def test_a_job_that_starts_in_the_same_claim_counts(rocketjob):
    LaterDependentJob.create(priority=50)
    FirstDependencyJob.create(priority=1)
    assert [type(job) for job in claim(rocketjob)] == [FirstDependencyJob]


def test_an_empty_list_waits_for_nothing(rocketjob):
    FirstDependencyJob.create().start()
    LaterDependentJob.create(dependent_jobs=[])
    assert len(claim(rocketjob)) == 1


def test_depends_on_job_is_for_the_class_and_those_made_later(rocketjob):
    class Parent(ThrottleDependentJobs, Job):
        def perform(self): ...

    class Before(Parent): ...

    Parent.depends_on_job(FirstDependencyJob, "SecondDependencyJob")

    class After(Parent): ...

    assert (
        Parent().dependent_jobs
        == After().dependent_jobs
        == ["FirstDependencyJob", "SecondDependencyJob"]
    )
    Before.depends_on_job("FirstDependencyJob")
    assert (Before().dependent_jobs, Parent().dependent_jobs[1:]) == (
        ["FirstDependencyJob"],
        ["SecondDependencyJob"],
    )

    class Plain(ThrottleDependentJobs, Job):
        def perform(self): ...

    assert Plain().dependent_jobs == []


def test_an_unknown_class_is_a_validation_error(rocketjob):
    with pytest.raises(ValidationError) as refused:
        LaterDependentJob.create(dependent_jobs=["FirstDependencyJop"])
    assert list(refused.value.errors) == ["dependent_jobs"]
    assert "did you mean FirstDependencyJob?" in str(refused.value)


# --- bad declarations -------------------------------------------------------------------------


def plain(self):
    return True


async def asynchronous(self) -> bool:
    return True


def of_two(self, other) -> bool:
    return True


def of_text(self) -> str:
    return "yes"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"throttle_running_jobs": -1}, "throttle_running_jobs must not be negative"),
        ({"throttle_running_jobs": "5"}, "throttle_running_jobs must be a whole number"),
        ({"throttle_running_jobs": True}, "throttle_running_jobs must be a whole number"),
        ({"throttle_running_jobs": 2.5}, "throttle_running_jobs must be a whole number"),
        ({"rate_limit": "100 per minute"}, r"WrongThrottleJob.rate_limit must be such as"),
        ({"rate_limit": "0/minute"}, "rate_limit must be such as"),
        ({"rate_limit": "-1/minute"}, "rate_limit must be such as"),
        ({"rate_limit": "5/0seconds"}, "rate_limit must be such as"),
        ({"rate_limit": 100}, "rate_limit must be such as"),
        ({"rate_limit": "20000/day"}, "at most 10000 in a period"),
        ({"throttle_key": "account_id"}, "throttle_key must be a function of the job"),
        ({"wait": throttle(asynchronous)}, "wait: a throttle must be a plain method"),
        ({"wait": throttle(of_two)}, "wait: a throttle takes nothing but self"),
        ({"wait": throttle(of_text)}, "wait: a throttle returns True or False"),
    ],
)
def test_a_bad_declaration_is_an_error_when_the_class_is_made(attributes, said):
    with pytest.raises(ConfigurationError, match=said):
        type("WrongThrottleJob", (Throttle, Job), {**attributes, "__module__": __name__})


def test_a_bad_filter_is_an_error_where_it_stands():
    with pytest.raises(TypeError, match="filter must be a Mongo filter, or a function"):
        throttle(filter="this_class")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (lambda job: job.acount_id, "throttle_key raised AttributeError"),
        (lambda job: [job.id], "throttle_key must return one value"),
    ],
)
def test_a_bad_key_is_a_validation_error(rocketjob, key, said):
    class BadKeyJob(Throttle, Job):
        throttle_running_jobs = 1
        throttle_key = key

        def perform(self): ...

    with pytest.raises(ValidationError, match=said):
        BadKeyJob.create()


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("5/minute", "5 a minute"),
        ("5/60minutes", "5 an hour"),
        ("5/90seconds", "5 in 90 seconds"),
        ("5/2days", "5 in 2 days"),
    ],
)
def test_a_rate_is_said_in_words(rate, words):
    assert str(Rate.parse(rate)) == words


def test_travel_moves_the_next_look_at_a_throttle(rocketjob):
    job = LaggingJob.create()
    LaggingJob.lags = True
    try:
        assert rocketjob.work_off() == 0
        LaggingJob.lags = False
        assert rocketjob.work_off() == 0  # not looked at again yet
        rocketjob.travel(timedelta(seconds=61))
        assert rocketjob.work_off() == 1
    finally:
        LaggingJob.lags = False
    assert job.reload().is_completed


class LaggingJob(Throttle, Job):
    destroy_on_complete = False
    lags: ClassVar[bool] = False

    @throttle
    def replica_lags(self):
        return type(self).lags

    def perform(self): ...
