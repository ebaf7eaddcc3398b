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
from rocketjob.jobs.claims import Claim, claim_of
from rocketjob.jobs.job import Job
from rocketjob.queue.dispatch import Queue
from rocketjob.states.machine import Change
from rocketjob.worker.limits import Limits
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


def urgency(task: Task) -> tuple[int, bytes]:
    """What follows committed changes comes first, then jobs as the queue orders them."""
    return (task.priority, task.id.binary) if isinstance(task, Job) else (0, b"")


class Watch(Protocol):
    """Is told what each thread performs: see `rocketjob.worker.slots`."""

    @property
    def revoked(self) -> float: ...

    def performing(self, number: int, id: ObjectId | None, part: int = 0) -> None: ...

    def set_deadline(self, number: int, at: float) -> None: ...

    def finished(self, id: ObjectId, number: int) -> None: ...

    def written(self, id: ObjectId, number: int) -> None: ...

    def set_turn(self, at: float) -> None: ...

    def set_worked(self, count: int) -> None: ...

    def set_cut_short(self, count: int) -> None: ...


class Pool(Protocol):
    """What a thread asks of its pool, and tells it: see `rocketjob.worker.pool`."""

    queue: Queue
    config: Config
    stopping: threading.Event
    watch: Watch | None
    surroundings: Surroundings
    limits: Limits

    def next_task(self) -> Task | None: ...

    def performing(self, number: int, job: Job) -> None: ...

    def performed(
        self, number: int, cls: type[Job], seconds: float, worked: bool = True
    ) -> None: ...

    def clear_the_way(self, cls: type[Job]) -> threading.Event | None: ...

    def may_start(self, claim: Claim) -> bool: ...

    def hold(self, job: Job) -> None: ...

    def released(self, job: Job, claim: Claim | None) -> None: ...

    def refuse(self, number: int, job: Job) -> None: ...

    def performed_on_loop(self, number: int, worked: bool) -> None: ...

    def submit(self, change: Change) -> None: ...

    def wake(self) -> None: ...


class PoolWorker(Worker):
    """Works on jobs of a pool. Its writes are made by the pool, many in one go."""

    def __init__(self, pool: Pool, number: int, queue: Queue | None = None) -> None:
        super().__init__(pool.queue.worker_name, queue=queue or pool.queue)
        self.pool, self.number = pool, number
        self.stopping, self.limits = pool.stopping, pool.limits
        self.isolates = True
        self._submitted = False  # whether the end of the present job is left to the pool
        self._claim: Claim | None = None  # of the present job, by the pool or by this worker
        self.job: Job | None = None  # what it works on
        self.began = 0.0  # since when, in seconds of the monotonic clock
        self.part: tuple[ObjectId, int, float] | None = None  # see `AtWork`

    @property
    def job_id(self) -> ObjectId | None:
        job = self.job  # read once: another thread sets it
        return None if job is None else job.id

    def carry_on(self, task: Change | Refused) -> None:
        """Do what comes after a change was written or refused, in the context of its perform."""
        if isinstance(task, Change):
            _in_context_of(task, after_commit, task)
        else:
            _in_context_of(task.change, self._fail_refused, task)

    def _fail_refused(self, task: Refused) -> None:
        self._submitted, claim = False, claim_of(task.change.document)
        fail_refused(task.change, task.error, self)
        if not self._submitted:
            self.pool.released(task.change.document, claim)

    def commit(self, change: Change) -> None:
        """Leave a prepared change to the pool's next group of writes."""
        self._submitted = True
        change.context = contextvars.copy_context()
        self.pool.submit(change)


class ThreadWorker(PoolWorker):
    """One thread of a pool."""

    coroutine = None  # see `AtWork`

    def __init__(self, pool: Pool, number: int) -> None:
        super().__init__(pool, number)
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
                else:
                    self.carry_on(task)
            except BaseException:
                log.exception("a worker thread met an error that no job owns", worker=self.name)

    def _work(self, job: Job) -> None:
        pool = self.pool
        begun = pool.clear_the_way(type(job))
        self._submitted, self._claim = False, claim_of(job)
        pool.performing(self.number, job)  # before it is asked whether it may: see `Slots`
        if self._claim is not None and not pool.may_start(self._claim):
            pool.refuse(self.number, job)
            return
        self.began = started = clock.monotonic()
        self.job = job
        moves = pool.surroundings.enter(self.number)
        if begun is not None:
            begun.set()
        worked = False
        try:
            worked = work_claimed_job(job, self)
        finally:
            pool.surroundings.leave(self.number, type(job).__name__, moves)
            pool.performed(self.number, type(job), clock.monotonic() - started, worked)
            if not self._submitted:
                pool.released(job, self._claim)
            self.job = None

    def working_on(self, job: Job, part: int = 0) -> None:
        self.part = (job.id, part, clock.monotonic()) if part else None
        if self.pool.watch is not None:
            self.pool.watch.performing(self.number, job.id, part)

    def took(self, job: Job) -> None:
        self._claim = claim_of(job)
        self.pool.hold(job)


def _in_context_of(change: Change, call: Callable[[T], None], task: T) -> None:
    """Call within the context of the job's perform, in whichever thread."""
    if change.context is None:
        call(task)
    else:
        change.context.run(call, task)
