"""Jobs that are performed on the event loop of a process: hundreds at once, without a thread each.

A job has a place, not a thread: only its coroutine runs on the loop. What comes before and after it
is ordinary code that may wait for the store: a few threads do that for all places.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from rocketjob.base import clock
from rocketjob.base.errors import ServerStopping
from rocketjob.base.log import Logger
from rocketjob.jobs.claims import claim_of
from rocketjob.jobs.job import Job
from rocketjob.jobs.performance import performance_of
from rocketjob.states.machine import Change
from rocketjob.worker import async_loop
from rocketjob.worker.contexts import fresh_context
from rocketjob.worker.limits import own_lines
from rocketjob.worker.loop_watch import LoopWatch, running_of
from rocketjob.worker.steps import Steps, claimed_job_steps, runs_on_loop
from rocketjob.worker.thread import Pool, PoolWorker, Refused, urgency

if TYPE_CHECKING:
    import asyncio

log = Logger("rocketjob.worker")

THREADS = 4  # for what is not a coroutine, of all places together
CLAIM_LIMIT = 50  # in one step, so that the threads' jobs need not wait for all places to be filled
AHEAD_SECONDS = 0.1  # claim at most what the threads can begin in this time: others may be urgent
STUCK_SECONDS = 2.0  # if no thread has come to anything for so long, others get what waits here

Step = Callable[[], None]


class LoopWorker(PoolWorker):
    """One place. It is taken when a job is claimed for it, and free when the job has ended."""

    def __init__(self, pool: Pool, team: LoopWorkers, number: int) -> None:
        super().__init__(pool, number, team.queue)
        self.team = team
        self._moves = 0
        self._is_cancelled = False
        self._context: contextvars.Context | None = None
        self._steps: Steps | None = None
        self._task: asyncio.Task[async_loop.Outcome] | None = None

    @property
    def thread(self) -> threading.Thread:
        return async_loop.thread()

    @property
    def coroutine(self) -> list[str]:
        """The lines of where its coroutine waits, or of what of it the loop runs just now."""
        task = self._task
        if task is None:
            return []
        return own_lines(running_of(self.job) or _frames(task.get_coro()))

    # --- on a thread of the team ---------------------------------------------------------------

    def begin(self, job: Job) -> None:
        """Begin a job that was claimed for this place."""
        pool = self.pool
        self._submitted, self._claim = False, claim_of(job)
        pool.performing(self.number, job)  # before it is asked whether it may: see `Slots`
        if self._claim is not None and not pool.may_start(self._claim):
            pool.refuse(self.number, job)
            self.team.is_free(self)
            return
        self.began, self.job, self._is_cancelled = clock.monotonic(), job, False
        self._moves = pool.surroundings.enter(self.number)
        self._context = fresh_context()
        self._steps = claimed_job_steps(job, self, lambda: self.coroutine)
        self._advance(partial(next, self._steps))

    def _advance(self, step: Callable[[], Awaitable[Any]]) -> None:
        """Go on until there is something to be awaited, or to the end."""
        assert self._context is not None
        worked = True
        try:
            awaitable = self._context.run(step)
        except StopIteration as ended:
            worked = ended.value
        except BaseException:
            log.exception("a worker met an error that no job owns", worker=self.name)
        else:
            async_loop.loop().call_soon_threadsafe(self._await, awaitable)
            return
        self._end(worked)

    def _go_on(self, task: asyncio.Task[async_loop.Outcome]) -> None:
        steps = self._steps
        assert steps is not None
        self._task = None
        try:
            value, error, _ = task.result()
        except BaseException as ended:  # it was cancelled before it began, or as it returned
            value, error = None, ended
        self._advance(partial(steps.send, (value, error)))

    def _end(self, worked: bool) -> None:
        job, pool = self.job, self.pool
        assert job is not None
        pool.surroundings.leave(self.number, type(job).__name__, self._moves)
        pool.performed_on_loop(self.number, worked)
        if not self._submitted:
            pool.released(job, self._claim)
        self.job = self._steps = self._context = None
        self.team.is_free(self)

    # --- on the loop ---------------------------------------------------------------------------

    def _await(self, awaitable: Awaitable[Any]) -> None:
        import asyncio  # for start-up time

        job = self.job
        assert job is not None
        self.team.watch.look()
        running = async_loop.ended(awaitable, performance_of(job), lambda: self._is_cancelled)
        self._task = asyncio.get_running_loop().create_task(
            running, name=str(job.id), context=self._context
        )
        self._task.add_done_callback(lambda task: self.team.add(partial(self._go_on, task)))

    # --- from any thread -----------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel its coroutine, since there is no more time; once, for it may clean up."""
        task = self._task
        if task is None or self._is_cancelled:
            return False
        self._is_cancelled = True
        task.get_loop().call_soon_threadsafe(task.cancel)
        return True


class LoopWorkers:
    """The places of one pool, and the threads that do for all of them what is no coroutine.

    Args:
        places: how many jobs are performed at once.
        first: the number of the first place; the threads of the pool have those before.
    """

    def __init__(self, pool: Pool, places: int, first: int) -> None:
        self.queue = pool.queue.split(runs_on_loop)
        self.workers = [LoopWorker(pool, self, first + index) for index in range(places)]
        self.watch = LoopWatch(lambda: len(self._free) < len(self.workers), pool.limits)
        self._pool = pool
        self._free = deque(self.workers)
        self._to_begin: deque[tuple[LoopWorker, Job]] = deque()
        self._next: deque[Step] = deque()  # what comes after a coroutine, or after a write
        self._ready = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._waiting = 0  # threads that have nothing to do
        self._mean = 0.0  # seconds that a step takes; learnt from those that were made
        self._moved_at = 0.0  # when a thread last took something up
        self._ended = False
        self._cancelled = 0
        self._context = contextvars.copy_context()  # in which the app was imported

    # --- for the claimer -----------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many jobs to claim: for free places, as many as are begun soon."""
        if self._is_stuck() or not self.queue.eligible.class_names():
            return 0
        ahead, waiting = self._ahead(), len(self._to_begin)
        if waiting > ahead // 2:  # few large claims cost less than many small
            return 0
        return min(len(self._free), ahead - waiting)

    def _ahead(self) -> int:
        soon = AHEAD_SECONDS * THREADS / max(self._mean, 1e-5)
        return min(CLAIM_LIMIT, max(THREADS, int(soon)))

    @property
    def has_backlog(self) -> bool:
        """Whether something was claimed and is not begun."""
        return bool(self._to_begin)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is performed, and nothing is left to be done."""
        with self._ready:
            is_busy = self._to_begin or self._next or self._waiting < len(self._threads)
            return not is_busy and len(self._free) == len(self.workers)

    def claim(self, patience: float) -> bool:
        """Claim jobs for free places; return whether there were any."""
        jobs = self.queue.claim(room, places=0, patience=patience) if (room := self.room) else []
        for job in jobs:
            self._pool.hold(job)
        with self._ready:
            self._to_begin.extend((self._free.popleft(), job) for job in jobs)
            if len(self._to_begin) > len(jobs) > 0:
                self._to_begin = deque(sorted(self._to_begin, key=lambda each: urgency(each[1])))
        self._call_threads(len(jobs))
        return bool(jobs)

    def release_unstarted(self, all: bool) -> list[Job]:
        """Take back what was claimed and not begun, since it is not to be, or not soon.

        Args:
            all: False: only where the threads are stuck.
        """
        if not (self._to_begin and (all or self._is_stuck())):
            return []
        with self._ready:
            taken = [*self._to_begin]
            self._to_begin.clear()
            self._free.extend(worker for worker, _ in taken)
        return [job for _, job in taken]

    def cancel(self) -> int:
        """Cancel all coroutines of a process that has to end; their jobs are queued again.

        Returns:
            how many were cancelled, earlier ones included.
        """
        for worker in self.workers:
            if (job := worker.job) is not None:
                performance_of(job).ask(ServerStopping())
                self._cancelled += worker.cancel()
        return self._cancelled

    def follow(self, task: Change | Refused) -> None:
        """Do on a thread what comes after the write of a job's end."""
        self.add(partial(PoolWorker(self._pool, 0).carry_on, task))

    def end(self) -> None:
        """End the threads."""
        with self._ready:
            self._ended = True
            self._ready.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait for the threads; return whether all have ended."""
        deadline = clock.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # --- for the places ------------------------------------------------------------------------

    def is_free(self, worker: LoopWorker) -> None:
        """Note that a place can be taken again."""
        self._free.append(worker)
        self._pool.wake()

    def add(self, step: Step) -> None:
        """Have something done on a thread."""
        self._next.append(step)
        self._call_threads(1)

    # --- the threads ---------------------------------------------------------------------------

    def _call_threads(self, count: int) -> None:
        with self._ready:
            self._ready.notify(count)
            steps = len(self._next) + len(self._to_begin)
            wanted = min(THREADS - len(self._threads), steps - self._waiting)
            for _ in range(wanted):
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"{self.queue.worker_name} steps {len(self._threads) + 1}"
        run = partial(self._context.copy().run, self._run)
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while (step := self._take()) is not None:
            began = clock.monotonic()
            try:
                step()
            except BaseException:
                log.exception(
                    "a worker met an error that no job owns", worker=self.queue.worker_name
                )
            self._mean += (clock.monotonic() - began - self._mean) * 0.2

    def _take(self) -> Step | None:
        """Return what a thread is to do next, waiting for it; None at the end."""
        with self._ready:
            while True:
                self._moved_at = clock.monotonic()
                if self._next:  # first, since it frees places
                    return self._next.popleft()
                if self._to_begin:
                    worker, job = self._to_begin.popleft()
                    if len(self._to_begin) == self._ahead() // 2:
                        self._pool.wake()
                    return partial(worker.begin, job)
                if self._ended:
                    return None
                self._waiting += 1
                self._ready.wait()
                self._waiting -= 1

    def _is_stuck(self) -> bool:
        """Return whether all threads are busy and come to nothing, as in a callback that waits."""
        return (
            len(self._threads) == THREADS
            and self._waiting == 0
            and clock.monotonic() - self._moved_at > STUCK_SECONDS
        )


def _frames(coroutine: Any) -> list[FrameType]:
    """Return the frames of a coroutine that waits, and of those that it waits for."""
    frames: list[FrameType] = []
    while coroutine is not None:
        kind = next((k for k in ("cr", "gi", "ag") if hasattr(coroutine, f"{k}_frame")), None)
        if kind is None:
            break
        frame: FrameType | None = getattr(coroutine, f"{kind}_frame")
        if frame is None:
            break
        frames.append(frame)
        inner = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}[kind]
        coroutine = getattr(coroutine, inner)
    return frames
