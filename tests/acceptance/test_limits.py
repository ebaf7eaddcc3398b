"""Limits, with many workers in several processes and an independent observer."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from rocketjob.queue.reclaim import requeue_claims
from support.flow_children import FiveAtOnceJob, PerMinuteJob, work

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def workers(file_store):
    """16 workers in 4 processes, ready to work."""
    url, ready = file_store.application.config.url, SPAWN.Semaphore(0)
    _ = file_store.store
    pipes, started = [SPAWN.Pipe(duplex=False) for _ in range(4)], []
    for number, (stop, _) in enumerate(pipes):
        arguments = (url, f"w{number}", 4, ready, stop)
        started.append(SPAWN.Process(target=work, args=arguments, daemon=True))
        started[-1].start()
    for _ in started:
        assert ready.acquire(timeout=60)
    yield started
    for (here, there), process in zip(pipes, started, strict=True):
        if process.is_alive():
            there.send("stop")
        process.join(30)
        process.kill()
        here.close()
        there.close()


class Observer:
    """Counts the running jobs as often as it can."""

    def __init__(self):
        self.most = self.looks = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.done.is_set():
            self.most = max(self.most, FiveAtOnceJob.running().count())
            self.looks += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()


def wait_for(store, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        store.wait_for_change(store.change_mark(), 0.2)


def most_at_once(path):
    """Return how many were performed at the same instant, by their own notes."""
    now = most = 0
    for line in sorted(path.read_text().splitlines(), key=lambda line: int(line.split()[0])):
        now += 1 if line.endswith("begin") else -1
        most = max(most, now)
    return most


def test_16_workers_in_4_processes_never_run_6_where_5_are_allowed(file_store, workers, tmp_path):
    log = tmp_path / "log"
    with Observer() as observer:
        FiveAtOnceJob.create_many([{"log": str(log)} for _ in range(300)])
        wait_for(file_store.store, lambda: FiveAtOnceJob.count() == 0)
    assert len(log.read_text().splitlines()) == 600
    assert most_at_once(log) <= 5
    assert 2 <= observer.most <= 5
    assert observer.looks > 50


def test_a_kill_9_leaks_nothing(file_store, workers, tmp_path):
    log = tmp_path / "log"
    victim = workers[0]
    with Observer() as observer:
        # Long enough to be held by whoever is killed: each of its places is in use then.
        FiveAtOnceJob.create_many([{"log": str(log), "takes": 0.02} for _ in range(150)])
        mine = {"state": "running", "claimed_by": "w0.1"}
        wait_for(file_store.store, lambda: FiveAtOnceJob.where(mine).exists())
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(60)
        requeue_claims(file_store.store, file_store.plugins, "w0.1", crash_limit=9)
        wait_for(file_store.store, lambda: FiveAtOnceJob.count() == 0)
    assert observer.most <= 5
    assert FiveAtOnceJob.running().count() == 0
    # The last ones had all the places again.
    assert len(file_store.queue.claim(9)) == 0
    FiveAtOnceJob.create_many([{"log": str(log), "priority": 1} for _ in range(9)])
    assert len(file_store.queue.claim(9)) <= 5
    assert FiveAtOnceJob.running().count() <= 5


def test_a_rate_is_not_exceeded_by_many_processes(file_store, workers):
    PerMinuteJob.create_many([{} for _ in range(120)])
    wait_for(file_store.store, lambda: PerMinuteJob.completed().count() >= 40)
    wait_for(file_store.store, lambda: PerMinuteJob.where({"throttled_by": "rate_limit"}).exists())
    assert PerMinuteJob.completed().count() == 40
    assert PerMinuteJob.queued().count() == 80
