"""A worker: a thread that performs jobs which its pool has claimed.

It survives everything that jobs, callbacks and plugins raise.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rocketjob import clock
from rocketjob.job import Job
from rocketjob.log import Logger
from rocketjob.runner import Worker, settle, work_claimed_job
from rocketjob.state_machine import Change

if TYPE_CHECKING:
    from rocketjob.worker_pool import WorkerPool

log = Logger("rocketjob.worker")


class ThreadWorker(Worker):
    """One thread of a pool. Its writes are made by the pool, many in one go."""

    def __init__(self, pool: WorkerPool, number: int) -> None:
        super().__init__(pool.queue.worker_name, queue=pool.queue)
        self.pool, self.number = pool, number
        self.stopping = pool.stopping
        self.thread = threading.Thread(
            target=self.run, name=f"{self.name} thread {number}", daemon=True
        )

    def run(self) -> None:
        pool = self.pool
        while True:
            task = pool.next_task()
            if task is None:
                return
            try:
                if isinstance(task, Job):
                    self._work(task)
                else:
                    settle(task)
            except BaseException:
                log.exception("a worker thread met an error that no job owns", worker=self.name)

    def _work(self, job: Job) -> None:
        pool, started = self.pool, clock.monotonic()
        pool.performing(self.number, job)
        try:
            work_claimed_job(job, self)
        finally:
            pool.performed(self.number, clock.monotonic() - started)

    def commit(self, change: Change) -> None:
        """Leave a prepared change to the pool's next group of writes."""
        if change.companions or change.job.is_new:
            super().commit(change)
        else:
            self.pool.submit(change)
