"""What the tests of flow control run in processes of their own, and the classes they share."""

import os
import threading
import time

from rocketjob import Job, ValidationError
from rocketjob.queue.dispatch import Queue
from rocketjob.testing import sandbox
from rocketjob.worker.pool import WorkerPool
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle

# --- Singleton --------------------------------------------------------------------------------


class SingleAcrossJob(Singleton, Job):
    def perform(self): ...


def create_singletons(url, barrier, results, rounds):
    """Create one in each round, at the same instant as others; report which succeeded."""
    outcomes = []
    with sandbox(url):
        SingleAcrossJob.count()
        for _ in range(rounds):
            job = SingleAcrossJob()
            barrier.wait(60)
            try:
                job.save()
                outcomes.append(1)
            except ValidationError:
                outcomes.append(0)
            barrier.wait(60)
    results.put(outcomes)


# --- limits -----------------------------------------------------------------------------------


class FiveAtOnceJob(Throttle, Job):
    """Notes in a file when it began and ended, by the clock that all processes share."""

    throttle_running_jobs = 5
    log: str
    takes: float = 0.003

    def perform(self):
        note(self.log, self.id, "begin")
        time.sleep(self.takes)  # the work
        note(self.log, self.id, "end")


class PerMinuteJob(Throttle, Job):
    rate_limit = "40/hour"
    destroy_on_complete = False

    def perform(self): ...


def note(path, id, what):
    """Append a line in one write, which no other process can come between."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{time.monotonic_ns()} {id} {what}\n".encode())
    os.close(file)


def work(url, name, threads, ready, stop):
    """Be a worker process until told to stop."""
    with sandbox(url) as rocketjob:
        app = rocketjob.application
        queue = Queue(app.store, app.plugins, app.config, f"{name}.1", f"test:{name}")
        pool = WorkerPool(queue, threads, app.config)

        def obey():
            stop.recv()  # a pipe, not an event: one that is waited for by a killed process locks up
            pool.stop()

        threading.Thread(target=obey, daemon=True).start()
        ready.release()
        pool.run()
