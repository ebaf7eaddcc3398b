"""Without transactions: a process dies, or stands still, before every write that it makes.

Before the next write is after the last: what is read in between changes nothing.

What a job creates when it starts or ends is there afterwards, and there once.
"""

import itertools
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.synchronous.collection import Collection

from rocketjob import Job, before
from rocketjob.base import clock
from rocketjob.queue.dispatch import Queue
from rocketjob.queue.reclaim import requeue_claims
from rocketjob.store import notes
from rocketjob.testing import sandbox
from rocketjob.worker.runner import Worker, work_claimed_job
from rocketjob_plugins.batch import Batch, Statistics
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.singleton import Singleton

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITES = (
    *("insert_one", "insert_many", "find_one_and_update"),
    *("update_one", "update_many", "delete_one", "delete_many"),
)
ACTIVE = {"state": {"$in": ["queued", "running", "paused", "failed"]}}
ran = []  # the generations that were performed


class Killed(BaseException):
    """Stands for kill -9."""


class MortalJob(Cron, Job):
    cron_schedule = "0 * * * *"

    def perform(self): ...


class MortalKeptJob(MortalJob):
    destroy_on_complete = False


class MortalEarlyJob(MortalJob):
    cron_after_start = True


class MortalEarlySingletonJob(Singleton, MortalJob):
    cron_after_start = True  # its successor is refused, as long as it runs


class MortalInMemoryJob(Singleton, MortalJob):
    def perform(self):
        self.abort(save=False)


class MortalFailingJob(MortalJob):
    def perform(self):
        raise RuntimeError("broken")


class MortalTwiceJob(Job):
    """Has one successor, at once: it may be gone before anybody looks."""

    generation: int = 0

    @before("complete")
    def once_more(self):
        if self.generation == 0:
            self.create_with(MortalTwiceJob(generation=1, destroy_on_complete=True))

    def perform(self):
        ran.append(self.generation)


class MortalLinesJob(Statistics, Batch, Job):
    destroy_on_complete = False
    slice_size = 2
    collect_output = True
    max_rejects = 10

    def perform(self, line):
        self.statistics_inc("seen")
        if line == "bad":
            raise ValueError("bad line")
        return line.upper()


class Points:
    """Before each write something may happen, once, at the nth of them."""

    def __init__(self, monkeypatch):
        self.left, self.happening = 0, None
        self.dead = self.reached = False
        self.thread = threading.current_thread()
        for name in WRITES:
            monkeypatch.setattr(Collection, name, self._around(getattr(Collection, name)))

    def _around(self, function):
        def call(*args, **kwargs):
            self._pass()
            return function(*args, **kwargs)

        return call

    def _pass(self):
        if threading.current_thread() is not self.thread:
            return
        if self.dead:
            raise Killed
        self.left -= 1
        if self.left == 0:
            self.reached = True
            self.happening()

    @contextmanager
    def at(self, number, happening):
        """Let it happen at that point of the block; see `reached` whether it came to that."""
        self.left, self.happening, self.reached = number, happening, False
        with suppress(Killed):
            yield
        self.left, self.dead = 0, False

    def die(self):
        self.dead = True
        raise Killed


@pytest.fixture
def without(mongo_url):
    """A sandbox for these classes only: a claim that names hundreds takes the test server long."""
    with sandbox(f"{mongo_url}?rocketjobTransactions=false", include="^Mortal") as made:
        yield made


@pytest.fixture
def points(monkeypatch, without):
    ran.clear()
    without.freeze(NOW)
    return Points(monkeypatch)


def take_over(made):
    """Do what other servers do once they take this process for dead."""
    queue = Queue(made.store, made.plugins, made.application.config, "other.1", "other:1")
    requeue_claims(made.store, made.plugins, "test.1", crash_limit=3)
    for seconds in (0, 61):
        clock.travel(clock.now() + timedelta(seconds=seconds), freeze=True)
        made.store.recover()
        while jobs := queue.claim(1):
            work_claimed_job(jobs[0], Worker("other:1", queue=queue))


def assert_nothing_is_left():
    assert not Job.where({notes.FIELD: {"$exists": True}}).exists()
    assert not Job.where({notes.HELD: {"$exists": True}}).exists()
    assert not Job.running().exists()


def assert_one_is_active(cls):
    (job,) = [job for job in cls.where(ACTIVE) if job.cron_schedule is not None]
    assert job.is_queued, job
    return job


SERIES = [
    MortalJob,
    MortalKeptJob,
    MortalEarlyJob,
    MortalEarlySingletonJob,
    MortalInMemoryJob,
    MortalFailingJob,
]


@pytest.mark.parametrize("stands_still", [False, True], ids=["dies", "stands still"])
@pytest.mark.parametrize("cls", SERIES)
def test_a_series_goes_on_with_one_instance(without, points, cls, stands_still):
    happening = (lambda: take_over(without)) if stands_still else points.die
    for number in itertools.count(1):
        clock.travel(NOW, freeze=True)
        cls.delete_all()
        cls.create().run_now()
        with points.at(number, happening):
            without.work_off()
        take_over(without)
        assert_nothing_is_left()
        job = assert_one_is_active(cls)
        assert job.run_at == NOW + timedelta(hours=1)
        clock.travel(job.run_at)
        assert without.work_off() >= 1
        assert assert_one_is_active(cls).run_at == NOW + timedelta(hours=2)
        if not points.reached:
            break
    assert number > 5, "it was meant to happen in between"


@pytest.mark.parametrize("stands_still", [False, True], ids=["dies", "stands still"])
def test_a_successor_that_is_gone_at_once_is_not_made_again(without, points, stands_still):
    happening = (lambda: take_over(without)) if stands_still else points.die
    for number in itertools.count(1):
        ran.clear()
        MortalTwiceJob.delete_all()
        MortalTwiceJob.create(destroy_on_complete=False)  # who takes it back has no claim to see
        with points.at(number, happening):
            without.work_off(limit=1)  # the successor is for the others
        for _ in range(2):
            take_over(without)
        assert_nothing_is_left()
        assert MortalTwiceJob.count() == MortalTwiceJob.completed().count() == 1
        assert ran.count(1) == 1, number
        if not points.reached:
            break
    assert number > 5, "it was meant to happen in between"


@pytest.mark.parametrize("stands_still", [False, True], ids=["dies", "stands still"])
def test_what_becomes_of_a_slice_is_stored_once(without, points, stands_still):
    happening = (lambda: take_over(without)) if stands_still else points.die
    for number in itertools.count(1):
        MortalLinesJob.delete_all()
        job = MortalLinesJob()
        job.upload(["a", "bad", "b"])
        job.save()
        with points.at(number, happening):
            without.work_off()
        for _ in range(2):
            take_over(without)
        assert_nothing_is_left()
        assert job.reload().is_completed, number
        assert [record for slice_ in job.output for record in slice_] == ["A", "B"]
        assert [(n, record) for n, record, _ in rejects.each(job)] == [(2, "bad")]
        assert job.statistics == {"seen": 2}
        if not points.reached:
            break
    assert number > 10, "it was meant to happen in between"
