"""What a process has claimed ahead and cannot start is released, and never performed twice."""

import subprocess
import sys
import threading
from collections import Counter

import attrs
import pytest

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import Queue
from rocketjob.server.stalled import REASON, Stalled
from rocketjob.server.worker_process import LONGEST_STILL, STILL_SECONDS, Process
from rocketjob.worker import pool as pool_module
from rocketjob.worker.slots import Slots
from support.jobs import KeptJob, stored
from support.runtime import Gate, count, events_of, eventually, running_pool


class StalledJob(Job):
    """Notes that it was performed; one of them waits at the gate."""

    destroy_on_complete = False
    waits: bool = False
    gate = None
    performed = Counter()

    def perform(self):
        type(self).performed[self.id] += 1
        if self.waits:
            type(self).gate.pass_through()


class GatedStore:
    """A store whose calls of a method wait at a gate when told so.

    So the claimer waits in the store as it does where a job holds the interpreter.
    """

    def __init__(self, store, method):
        self._store, self._method = store, method
        self.gate, self.shut = Gate(), threading.Event()

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if name != self._method:
            return found

        def call(*args, **kwargs):
            if self.shut.is_set():
                self.shut.clear()
                self.gate.pass_through()
            return found(*args, **kwargs)

        return call


@pytest.fixture
def gate():
    StalledJob.gate, StalledJob.performed = Gate(), Counter()
    yield StalledJob.gate
    StalledJob.gate.open()


@pytest.fixture
def slots():
    made = Slots(1)
    yield made
    made.close()


@pytest.fixture
def still(slots, monkeypatch):
    """A worker process as its supervisor sees it, that stands still at once."""
    monkeypatch.setattr(pool_module, "BACKLOG_SECONDS", 1000.0)  # so that it claims much ahead
    monkeypatch.setattr(pool_module, "STALE_SECONDS", 1000.0)
    popen = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, text=True)
    popen.wait()
    made = Process(1, "here.1", 1, False, slots, popen, 0.0)
    made.patience = 0.0
    yield made
    popen.stdin.close()


def finish_elsewhere(file_store):
    """Work off what waits as another process does, and return."""
    with running_pool(file_store, claimed_by="there.1", threads=1):
        eventually(lambda: count(state="queued") == 0)


def stand_still(pool, store, gate):
    """Hold the claimer up in its store, while a job is performed and others wait behind it."""
    gate.wait_for_entry()
    eventually(lambda: len(pool._tasks) == 20)
    store.shut.set()
    store.gate.wait_for_entry()


def test_what_waits_behind_a_long_job_is_released_and_performed_once(
    file_store, slots, still, gate
):
    long, *short = StalledJob.create_many([{"waits": True}, *[{}] * 20])
    store = GatedStore(file_store.store, "change_mark")
    with running_pool(file_store, threads=1, store=store, watch=slots) as pool:
        stand_still(pool, store, gate)
        assert Stalled(file_store.store).look([still]) == 20
        assert stored(long)["state"] == "running"
        assert stored(short[0])["history"][-1]["reason"] == REASON
        finish_elsewhere(file_store)
        store.gate.open()
        gate.open()
        eventually(lambda: count(state="completed") == 21)
    assert StalledJob.performed == dict.fromkeys([long.id, *(job.id for job in short)], 1)


def test_what_was_claimed_while_the_answer_is_on_its_way_is_released_too(
    file_store, slots, still, monkeypatch
):
    claim, answer, is_held = Queue.claim, Gate(), threading.Event()

    def claim_and_wait(queue, *args, **kwargs):
        jobs = claim(queue, *args, **kwargs)
        if jobs and queue.claimed_by == "here.1" and not is_held.is_set():
            is_held.set()
            answer.pass_through()
        return jobs

    monkeypatch.setattr(Queue, "claim", claim_and_wait)
    StalledJob.performed = Counter()
    jobs = StalledJob.create_many([{}] * 5)
    with running_pool(file_store, threads=1, watch=slots):
        answer.wait_for_entry()
        assert Stalled(file_store.store).look([still]) > 0
        finish_elsewhere(file_store)
        answer.open()
        eventually(lambda: count(state="completed") == 5)
    assert StalledJob.performed == {job.id: 1 for job in jobs}


def test_what_is_performed_and_not_written_yet_is_not_released(file_store, slots, still, gate):
    store = GatedStore(file_store.store, "write_many")
    store.shut.set()
    job = StalledJob.create()
    with running_pool(file_store, threads=1, store=store, watch=slots):
        store.gate.wait_for_entry()  # with the job's completion
        assert slots.performed() == []
        assert Stalled(file_store.store).look([still]) == 0
        assert stored(job)["state"] == "running"
        store.gate.open()
        eventually(lambda: count(state="completed") == 1)
    assert slots.started() == set()


def test_a_process_whose_claims_are_revoked_releases_them_itself(file_store, slots, still, gate):
    """The supervisor may die between the two."""
    long, *short = StalledJob.create_many([{"waits": True}, *[{}] * 5])
    with running_pool(file_store, threads=1, watch=slots) as pool:
        gate.wait_for_entry()
        eventually(lambda: len(pool._tasks) == 5)
        slots.revoke(clock.monotonic())
        gate.open()
        eventually(lambda: count(state="completed") == 6)
        assert not pool._held
    assert events_of(short[0])[:3] == ["start", "give_back", "start"]
    assert StalledJob.performed == dict.fromkeys([long.id, *(job.id for job in short)], 1)


def test_a_job_that_comes_back_to_the_process_that_lost_it_is_performed_once(
    file_store, slots, still, gate
):
    long, *short = StalledJob.create_many([{"waits": True}, *[{}] * 20])
    store = GatedStore(file_store.store, "change_mark")
    with running_pool(file_store, threads=1, store=store, watch=slots) as pool:
        stand_still(pool, store, gate)
        assert Stalled(file_store.store).look([still]) == 20
        store.gate.open()  # the claimer claims them again, while the old tasks wait
        eventually(lambda: all(stored(job)["claim_number"] == 2 for job in short))
        pool.config = attrs.evolve(pool.config, re_check_seconds=0.001)
        pool._next_check = 0.0  # it compares with the store what it holds, again and again
        gate.open()
        eventually(lambda: count(state="completed") == 21)
    assert StalledJob.performed == dict.fromkeys([long.id, *(job.id for job in short)], 1)


def test_a_process_that_comes_round_or_waits_for_work_stands_not_still(still, slots):
    now = clock.monotonic()
    still.patience = STILL_SECONDS
    assert not still.stands_still(now)  # it has not begun
    slots.set_turn(now)
    assert not still.stands_still(now + 0.5)
    assert still.stands_still(now + STILL_SECONDS + 0.1)
    slots.set_turn(0.0)
    assert not still.stands_still(now + 100)


def test_a_process_that_gets_nowhere_is_left_alone_for_longer_and_longer(still, slots):
    found = []
    for _ in range(10):
        still.was_relieved()
        found.append(still.patience)
    assert found[:3] == [STILL_SECONDS, 2 * STILL_SECONDS, 4 * STILL_SECONDS]
    assert found[-1] == LONGEST_STILL
    slots.set_worked(1)
    still.was_relieved()
    assert still.patience == STILL_SECONDS


def test_nothing_is_taken_from_a_process_that_cannot_tell_what_it_has_performed(
    file_store, slots, still
):
    job = KeptJob.create()
    file_store.store.collection(COLLECTION).update_one(
        {"_id": job.id}, {"$set": {"state": "running", "claimed_by": "here.1", "claim_number": 1}}
    )
    for number in range(2000):
        slots.finished(job.id, number)
    slots.set_turn(clock.monotonic() - 5)
    assert slots.started() is None
    assert Stalled(file_store.store).look([still]) == 0
    assert stored(job)["state"] == "running"
