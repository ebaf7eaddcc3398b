"""Mixins together, in every order of bases: the table of docs/plugins/combining.md."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from rocketjob import Job, ValidationError
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.processing_window import ProcessingWindow
from rocketjob_plugins.restart import Restart
from rocketjob_plugins.retry import Retry
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle, throttle

ALL = (Cron, Retry, Singleton, ProcessingWindow, Throttle)
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HOLD = {"back": False}


def in_every_order(*mixins):
    found = list(permutations(mixins))
    names = ["".join(each.__name__[0] for each in order) for order in found]
    return pytest.mark.parametrize("order", found, ids=names)


def make(order, **attributes):
    """Return a class of these bases that fails as often as its field says."""
    body = {
        "destroy_on_complete": False,
        "failures": 0,
        "runs": 0,
        "__annotations__": {"failures": int, "runs": int},
        "perform": perform,
        "retry_delay": lambda self, attempt: self.delay,
        "delay": timedelta(minutes=10),
        **attributes,
    }
    if Cron in order:
        body.setdefault("cron_schedule", "0 9 * * * UTC")
    if Retry in order:
        body.setdefault("retry_limit", 2)
    if ProcessingWindow in order:
        body.setdefault("processing_schedule", "0 9 * * * UTC")
        body.setdefault("processing_duration", timedelta(hours=1))
    if Throttle in order:
        body |= {"throttle_running_jobs": 1, "hold_back": throttle(hold_back)}
    return type("CombinedJob", (*order, Job), {**body, "__module__": "<locals>"})


def hold_back(self) -> bool:
    return HOLD["back"]


def perform(self):
    self.runs += 1
    if self.failure_count < self.failures:
        raise RuntimeError("not yet")


@pytest.fixture(autouse=True)
def _before_nine(rocketjob):
    rocketjob.freeze(NINE - timedelta(hours=1))
    HOLD["back"] = False


def states(cls):
    return sorted((job.state, job.run_at) for job in cls.all())


@in_every_order(*ALL)
def test_a_day_in_the_life(rocketjob, order):
    cls = make(order)
    job = cls.create(failures=2)
    assert job.run_at == NINE  # Cron
    with pytest.raises(ValidationError) as refused:
        cls.create()
    assert set(refused.value.errors) == {"cron_schedule", "state"}  # Cron and Singleton
    rocketjob.travel(NINE)
    HOLD["back"] = True
    assert rocketjob.work_off() == 0  # Throttle: nothing is lost, nothing moves
    assert (job.reload().run_at, job.runs, job.cron_schedule) == (NINE, 0, "0 9 * * * UTC")
    HOLD["back"] = False
    rocketjob.queue.eligible.deferred.clear()
    for minutes in (10, 20):  # Retry, within the window
        assert rocketjob.work_off() == 1
        due = NINE + timedelta(minutes=minutes)
        assert states(cls) == [("queued", due)]
        rocketjob.travel(due)
    assert rocketjob.work_off() == 1
    assert states(cls) == [("completed", NINE + timedelta(minutes=20)), ("queued", NINE + DAY)]
    assert job.reload().runs == 3


@in_every_order(*ALL)
def test_the_last_failure_ends_the_run_and_the_series_goes_on(rocketjob, order):
    cls = make(order)
    job = cls.create(failures=9)
    for minutes in (0, 10, 20):
        rocketjob.travel(NINE + timedelta(minutes=minutes))
        assert rocketjob.work_off() == 1
    assert states(cls) == [("failed", NINE + timedelta(minutes=20)), ("queued", NINE + DAY)]
    assert job.reload().cron_schedule is None


@in_every_order(*ALL)
def test_a_retry_that_would_be_outside_the_window_waits_for_it(rocketjob, order):
    cls = make(order, delay=timedelta(hours=2))
    cls.create(failures=1)
    rocketjob.travel(NINE)
    rocketjob.work_off()
    assert states(cls) == [("queued", NINE + DAY)]
    rocketjob.travel(NINE + DAY)
    rocketjob.work_off()
    assert states(cls) == [("completed", NINE + DAY), ("queued", NINE + 2 * DAY)]


@pytest.mark.parametrize("after_start", [False, True])
@in_every_order(Cron, Singleton, ProcessingWindow)
def test_a_run_that_misses_its_window_stays_the_one_of_its_series(rocketjob, order, after_start):
    cls = make(order, cron_after_start=after_start)
    job = cls.create()
    rocketjob.travel(NINE + timedelta(hours=3))
    rocketjob.work_off()
    assert states(cls) == [("queued", NINE + DAY)]
    assert (job.reload().runs, job.cron_schedule) == (0, "0 9 * * * UTC")


@in_every_order(Cron, ProcessingWindow)
def test_so_it_does_without_singleton_and_with_cron_after_start(rocketjob, order):
    cls = make(order, cron_after_start=True)
    cls.create()
    rocketjob.travel(NINE + timedelta(hours=3))
    rocketjob.work_off()
    assert states(cls) == [("queued", NINE + DAY)]


@in_every_order(Cron, Retry)
def test_a_retry_waits_no_longer_than_for_the_next_occurrence(rocketjob, order):
    cls = make(order, cron_schedule="*/30 * * * *", delay=timedelta(hours=5))
    job = cls.create(failures=1)
    rocketjob.travel(job.run_at)
    rocketjob.work_off()
    assert states(cls) == [("queued", job.run_at + timedelta(minutes=30))]


@in_every_order(Cron, Singleton)
def test_with_singleton_the_next_is_queued_at_the_end_whatever_is_asked(rocketjob, order):
    cls = make(order, cron_after_start=True)
    cls.create()
    rocketjob.travel(NINE)
    seen = []
    cls.perform = lambda self: seen.append(states(cls))
    rocketjob.work_off()
    assert seen == [[("running", NINE)]]
    assert states(cls) == [("completed", NINE), ("queued", NINE + DAY)]


@in_every_order(Cron, Retry)
def test_after_start_a_failed_run_is_retried_alone(rocketjob, order):
    cls = make(order, cron_after_start=True)
    cls.create(failures=1)
    rocketjob.travel(NINE)
    rocketjob.work_off()
    assert states(cls) == [("queued", NINE + timedelta(minutes=10)), ("queued", NINE + DAY)]
    rocketjob.travel(NINE + timedelta(minutes=10))
    rocketjob.work_off()
    assert states(cls) == [("completed", NINE + timedelta(minutes=10)), ("queued", NINE + DAY)]


@in_every_order(Retry, Restart, Singleton)
def test_retry_goes_before_restart(rocketjob, order):
    cls = make(order, retry_limit=1)
    job = cls.create(failures=9)
    rocketjob.work_off()
    assert states(cls) == [("queued", NINE - timedelta(minutes=50))]
    rocketjob.travel(timedelta(minutes=10))
    rocketjob.work_off(limit=1)
    assert [state for state, _ in sorted(states(cls), key=str)] == ["aborted", "queued"]
    assert (job.reload().state, job.runs) == ("aborted", 2)


@in_every_order(Restart, Singleton, ProcessingWindow)
def test_restart_has_one_at_a_time_and_keeps_to_the_window(rocketjob, order):
    cls = make(order)
    cls.create()
    rocketjob.travel(NINE)
    for _ in range(3):
        assert rocketjob.work_off(limit=1) == 1
    assert (cls.completed().count(), cls.queued().count()) == (3, 1)
    rocketjob.travel(NINE + timedelta(hours=1))
    rocketjob.work_off()
    assert cls.queued().first().run_at == NINE + DAY


@in_every_order(Cron, Restart, Retry)
def test_cron_goes_before_restart(rocketjob, order):
    cls = make(order, retry_limit=0, cron_singleton=False)
    cls.create(failures=9)
    rocketjob.travel(NINE)
    rocketjob.work_off()
    assert states(cls) == [("aborted", NINE), ("queued", NINE + DAY)]
