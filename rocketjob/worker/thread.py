"""A worker: a thread that performs jobs which its pool has claimed.

It survives everything that jobs, callbacks and plugins raise.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

import attrs
from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.log import Logger
from rocketjob.jobs.claims import claim_of
from rocketjob.jobs.job import Job
from rocketjob.queue.dispatch import Queue
from rocketjob.states.machine import Change
from rocketjob.worker.runner import Worker, after_commit, fail_refused, work_claimed_job
from rocketjob.worker.surroundings import Surroundings

log = Logger("rocketjob.worker")


@attrs.frozen(eq=False)
class Refused:
    """A change that the store will never take, such as a result that is too large."""

    change: Change
    error: Exception


Task = Job | Change | Refused
T = TypeVar("T")


class Watch(Protocol):
    """Is told what each thread performs: see `rocketjob.worker.slots`."""

    def performing(self, number: int, id: ObjectId | None, part: int = 0) -> None: ...

    def set_worked(self, count: int) -> None: ...


class Pool(Protocol):
    """What a thread asks of its pool, and tells it: see `rocketjob.worker.pool`."""

    queue: Queue
    config: Config
    stopping: threading.Event
    watch: Watch | None
    surroundings: Surroundings

    def next_task(self) -> Task | None: ...

    def performing(self, number: int, job: Job) -> None: ...

    def performed(self, number: int, seconds: float, worked: bool = True) -> None: ...

    def hold(self, job: Job) -> None: ...

    def released(self, job: Job) -> None: ...

    def refuse(self, job: Job) -> None: ...

    def submit(self, change: Change) -> None: ...


class ThreadWorker(Worker):
    """One thread of a pool. Its writes are made by the pool, many in one go."""

    def __init__(self, pool: Pool, number: int) -> None:
        super().__init__(pool.queue.worker_name, queue=pool.queue)
        self.pool, self.number = pool, number
        self.stopping = pool.stopping
        self._submitted = False  # whether the end of the present job is left to the pool
        self.job_id: ObjectId | None = None  # what it works on
        self.thread = threading.Thread(
            # In a copy of the context in which the app was imported: what it has set holds.
            target=contextvars.copy_context().run,
            args=(self.run,),
            name=f"{self.name} thread {number}",
            daemon=True,
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
                elif isinstance(task, Change):
                    _in_context_of(task, after_commit, task)
                else:
                    _in_context_of(task.change, self._fail_refused, task)
            except BaseException:
                log.exception("a worker thread met an error that no job owns", worker=self.name)

    def _work(self, job: Job) -> None:
        pool, started = self.pool, clock.monotonic()
        claim = claim_of(job)
        if claim is not None and started - claim.at > pool.config.heartbeat_seconds:
            # The process stood still, or nearly: the claim may be somebody else's by now.
            pool.refuse(job)
            return
        self._submitted, self.job_id = False, job.id
        pool.performing(self.number, job)
        pool.surroundings.enter()
        worked = False
        try:
            worked = work_claimed_job(job, self)
        finally:
            pool.surroundings.leave(type(job).__name__)
            pool.performed(self.number, clock.monotonic() - started, worked)
            if not self._submitted:
                pool.released(job)
            self.job_id = None

    def _fail_refused(self, task: Refused) -> None:
        self._submitted = False
        fail_refused(task.change, task.error, self)
        if not self._submitted:
            self.pool.released(task.change.document)

    def working_on(self, job: Job, part: int = 0) -> None:
        if self.pool.watch is not None:
            self.pool.watch.performing(self.number, job.id, part)

    def took(self, job: Job) -> None:
        self.pool.hold(job)

    def commit(self, change: Change) -> None:
        """Leave a prepared change to the pool's next group of writes."""
        self._submitted = True
        change.context = contextvars.copy_context()
        self.pool.submit(change)


def _in_context_of(change: Change, call: Callable[[T], None], task: T) -> None:
    """Call within the context of the job's perform, in whichever thread."""
    if change.context is None:
        call(task)
    else:
        change.context.run(call, task)
