"""How long a worker process waits that is told of all that is written, and what ends that."""

from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job
from rocketjob.jobs.limit import Limit
from rocketjob.server import events
from rocketjob.store.changes import Told
from rocketjob.worker.pool import WorkerPool
from support.runtime import eventually, queue_of, running_pool

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLL, RE_CHECK = 5, 60  # max_poll_seconds, re_check_seconds
ITS = {"_type": "LimitedRungJob"}


class RungJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class LimitedRungJob(RungJob):
    def claim_limits(self):
        return [Limit(name="alone", key="told", maximum=0, counts=ITS, blocks=ITS)]


@pytest.fixture
def pool(rocketjob):
    rocketjob.freeze(NOON)
    made = WorkerPool(queue_of(rocketjob), 1, rocketjob.application.config)
    made.bell = Told()
    return made


def waits(pool):
    """Return for how long a pool waits that has claimed nothing."""
    assert pool.queue.claim(1) == []
    return pool._idle_seconds([pool.queue])


def test_with_nothing_to_do_it_asks_again_only_at_the_re_check(pool):
    assert waits(pool) == RE_CHECK
    pool.bell = None
    assert waits(pool) == POLL


def test_a_scheduled_job_is_claimed_when_it_is_due(rocketjob, pool):
    RungJob.create(run_at=NOON + timedelta(seconds=42))
    assert waits(pool) == 42
    rocketjob.travel(timedelta(seconds=42))
    assert len(pool.queue.claim(1)) == 1


def test_what_was_held_back_until_a_time_is_asked_about_then(pool):
    pool.queue.defer("closed", {"_id": 1}, seconds=17)
    assert 16 < waits(pool) <= 17


def test_while_jobs_wait_for_limits_which_may_depend_on_time_alone_it_looks_as_ever(pool):
    LimitedRungJob.create()
    assert waits(pool) == POLL
    LimitedRungJob.delete_all()
    assert waits(pool) == RE_CHECK


class Silent(Told):
    """Tells of nothing; each wait takes as long as it may, on the wall clock and by `passes`."""

    def __init__(self, passes):
        super().__init__()
        self.passes, self.waited = passes, []

    def wait_for_change(self, mark, timeout, interrupt=None):
        self.waited.append(timeout)
        self.passes()
        return False


def test_a_clock_that_jumps_ends_the_waiting(rocketjob, pool):
    pool.bell = Silent(lambda: rocketjob.travel(timedelta(hours=1)))
    pool._wait_for_news(0, RE_CHECK)
    assert len(pool.bell.waited) == 1
    assert pool.bell.waited[0] <= POLL


def test_it_claims_as_soon_as_it_is_told(file_store, monkeypatch):
    made = WorkerPool.__init__

    def told(pool, *args):
        made(pool, *args)
        pool.bell = Told()

    monkeypatch.setattr(WorkerPool, "__init__", told)
    with running_pool(file_store) as pool:
        eventually(lambda: pool._looked_at)  # it rests
        job = RungJob.create()

        def is_completed():
            pool.bell.add()
            return job.reload().is_completed

        eventually(is_completed)


# --- events ------------------------------------------------------------------------------------


class Waits(Told):
    def __init__(self):
        super().__init__()
        self.waited = []

    def wait_for_change(self, mark, timeout, interrupt=None):
        self.waited.append(timeout)
        return False


def test_a_listener_that_is_told_looks_once_more_at_all_and_then_once_a_minute(
    rocketjob, monkeypatch
):
    monkeypatch.setattr(events, "PAUSE", 0.0)
    news, heard = Waits(), []
    listener = events.Listener(news, lambda: heard.append(True))
    listener.read()
    listener._wait(news, 0)
    events.publish("cache", "flush")
    assert listener.read() == 1
    listener._wait(news, 0)
    listener._next_full_look = 0.0
    assert listener.read() == 0
    listener._wait(news, 0)
    assert news.waited == [events.QUIET_LOOK, events.FULL_LOOK, events.QUIET_LOOK]
    assert heard == [True]
