"""The workers of one process: one claimer and committer, and threads that perform.

The thread that calls `run` claims jobs for all threads in one step, and has what they have finished
written in one step (see `rocketjob.worker.committer`), so that the store is asked once for many
jobs. Between the two there is a small backlog: what the threads can finish within a few
milliseconds, measured.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.backoff import Backoff
from rocketjob.base.config import Config
from rocketjob.base.ending import end_as_spoilt
from rocketjob.base.errors import ServerStopping
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger
from rocketjob.jobs.claims import COLLECTION, Claim, claim_of, held_by, release, taken_from
from rocketjob.jobs.job import Job
from rocketjob.jobs.performance import performance_of
from rocketjob.queue.dispatch import Queue
from rocketjob.states.machine import Change
from rocketjob.store import Stored
from rocketjob.store.changes import News
from rocketjob.worker.committer import GATHER_SECONDS, Committer
from rocketjob.worker.freshness import Freshness
from rocketjob.worker.limits import Limits
from rocketjob.worker.loop_workers import LoopWorkers
from rocketjob.worker.steps import runs_on_loop
from rocketjob.worker.surroundings import Surroundings
from rocketjob.worker.thread import PoolWorker, Refused, Task, ThreadWorker, Watch, urgency

log = Logger("rocketjob.worker_pool")

BACKLOG_SECONDS = 0.02  # claim at most what can be finished in this time, beyond idle threads
BACKLOG_LIMIT = 250  # ... and at most this many, so that a killed process leaves little behind
STALE_SECONDS = 0.2  # a backlog that waits longer was misjudged: release it to the others
CLEAR_SECONDS = 0.25  # a job that may take long waits at most so long for what others finished
BEGIN_SECONDS = 0.05  # ... and then has so long to begin, while nothing is written
QUICK_SECONDS = 0.0005  # jobs shorter than this are done faster by one thread than by many
YIELD_SECONDS = 0.0005  # that threads have to take up what was claimed for them
LOOK_SECONDS = 0.01  # between two looks for work that find nothing, however much others write
LOOK_PAST_SECONDS = 0.1  # ... and at one go past jobs that wait for limits
LAST_SECONDS = 3.0  # of the grace period, in which coroutines that do not end are cancelled
RETRY_SECONDS = (0.1, 5.0)  # first and longest wait while the store is out of reach
CLOCK_SECONDS = 1.0  # a wall clock that has jumped by more makes other jobs due


class WorkerPool:
    """Threads that run jobs, and the loop that feeds them.

    Args:
        queue: where jobs are claimed.
        threads: how many jobs are performed at once.
        may_claim: asked before each claim; a server that is paused or late says no.
        watch: told which job each worker performs, for the supervisor.
        async_workers: how many jobs are performed on the event loop besides, without a thread each;
            0: there each takes a thread, which waits for it.
    """

    def __init__(
        self,
        queue: Queue,
        threads: int,
        config: Config,
        may_claim: Callable[[], bool] = lambda: True,
        watch: Watch | None = None,
        async_workers: int = 0,
    ) -> None:
        self.queue, self.config = queue, config
        self.may_claim, self.watch = may_claim, watch
        self.surroundings = Surroundings()
        self.stopping = threading.Event()
        self.commits = Committer(queue.store, self.released, self._follow)
        self.limits = Limits(threads, watch, lambda: not self.commits.waiting, async_workers)
        self.trouble: Callable[[], str | None] = lambda: None  # asked after an error
        self.end_when_idle = False  # for a process that was started for a few jobs only
        self.bell: News | None = None  # who tells of all that is written; None: the store is asked
        self.worked = 0
        self._tasks: deque[Task] = deque()
        self._idle = 0
        self._ready = threading.Condition(threading.Lock())
        self._wake = Interrupt()
        self._ended = self._is_hurried = False
        self._mean = 0.05  # seconds a job takes; learnt from those that were run
        self._took: dict[type[Job], float] = {}  # seconds that the last job of a class took
        self._asking: list[tuple[threading.Event, threading.Event]] = []  # see `clear_the_way`
        self._claimed_at = 0.0
        self._looked_at = 0.0  # when it last began to wait for work
        self._unwanted: list[Job] = []  # to be released
        self._held: dict[ObjectId, int] = {}  # the claims that this pool knows of
        self._freshness = Freshness(config.heartbeat_seconds)
        self._found_nothing = False
        self._next_check = clock.monotonic() + config.re_check_seconds
        self.workers = [ThreadWorker(self, number) for number in range(1, threads + 1)]
        self.on_loop = LoopWorkers(self, async_workers, threads + 1) if async_workers else None
        self._hurry_at = inf  # when what is performed on the loop is cancelled: it has to end

    # --- for the threads ---------------------------------------------------------------------

    def next_task(self) -> Task | None:
        """Return what a thread is to do next, waiting for it; None at the end."""
        with contextlib.suppress(IndexError):
            return self._tasks.popleft()
        with self._ready:
            while True:
                with contextlib.suppress(IndexError):
                    return self._tasks.popleft()
                if self._ended:
                    return None
                self._idle += 1
                self._wake.set()
                self._ready.wait()
                self._idle -= 1

    def performing(self, number: int, job: Job) -> None:
        if self.watch is not None:
            self.watch.performing(number, job.id)

    def performed(self, number: int, cls: type[Job], seconds: float, worked: bool = True) -> None:
        if self.watch is not None:
            self.watch.performing(number, None)
        self.worked += worked  # not one that was deferred
        self._mean += (seconds - self._mean) * (0.2 if seconds < self._mean else 0.5)
        self._took[cls] = seconds

    def performed_on_loop(self, number: int, worked: bool) -> None:
        """Do the same for a job that held no thread: it says nothing of how long threads take."""
        if self.watch is not None:
            self.watch.performing(number, None)
        self.worked += worked

    def clear_the_way(self, cls: type[Job]) -> threading.Event | None:
        """Before a job that may take long have what is finished written, within reason.

        It may hold the interpreter, or end the process. What others have done would wait then, or
        be lost; and in the middle of a write the claimer would keep all others from the store.

        Returns:
            what is to be set when the job begins: the claimer waits for it.
        """
        if self._took.get(cls, inf) <= STALE_SECONDS:
            return None
        clear, begun = asking = threading.Event(), threading.Event()
        self._asking.append(asking)
        self._wake.set()
        clear.wait(CLEAR_SECONDS)
        return begun

    def may_start(self, claim: Claim) -> bool:
        """Return whether a claim still holds, as far as can be told without the store.

        Otherwise the process stood still, or nearly, and the job may be in other hands by now.
        """
        if not self._freshness.allows(claim.at):
            return False
        return self.watch is None or claim.at > self.watch.revoked

    def hold(self, job: Job) -> None:
        """Note a claim that a thread has made itself."""
        if (claim := claim_of(job)) is not None:
            self._held[job.id] = claim.number

    def released(self, job: Job, claim: Claim | None) -> None:
        """Note that the end of what was claimed is written, or belongs to somebody else."""
        if claim is None:
            return
        if self._held.get(job.id) == claim.number:  # it may have been claimed again here
            self._held.pop(job.id, None)
        if self.watch is not None:
            self.watch.written(job.id, claim.number)

    def refuse(self, number: int, job: Job) -> None:
        """Have a claimed job released that was not started."""
        if self.watch is not None:
            self.watch.performing(number, None)
        self._unwanted.append(job)
        self._wake.set()

    def submit(self, change: Change) -> None:
        """Have a change written with the next group."""
        claim = claim_of(change.document)
        if self.watch is not None and claim is not None:
            self.watch.finished(change.document.id, claim.number)
        is_group = self.commits.add(change)
        if is_group or not self._tasks:
            self._wake.set()

    def _follow(self, task: Change | Refused) -> None:
        if self.on_loop is not None and runs_on_loop(type(_document_of(task))):
            return self.on_loop.follow(task)
        self._tasks.appendleft(task)
        self._call_threads(1)

    # --- the loop ----------------------------------------------------------------------------

    def run(self) -> None:
        """Claim, commit and wait, until stopped and all that runs has ended."""
        for worker in self.workers:
            worker.thread.start()
        pauses = Backoff(*RETRY_SECONDS)
        while not self._is_done():
            try:
                self._step()
                pauses.reset()
            except Exception as error:
                self.commits.is_unsure = True
                transient = self.queue.store.is_transient(error)
                log.exception("cannot reach the store" if transient else "the claimer failed")
                if why := self.trouble():
                    self._blame()
                    end_as_spoilt(why)
                time.sleep(pauses.next())
        self._end()

    def _blame(self) -> None:
        """Note as performed what is not written: one of those jobs has spoilt the process."""
        if self.watch is not None:
            unwritten = [change.document.id for change in list(self.commits.waiting)]
            for worker, id in zip(self.all_workers(), unwritten, strict=False):
                if worker.job_id is None:
                    self.watch.performing(worker.number, id)

    def stop(self) -> None:
        """Claim no more; `run` returns when what is being performed has ended."""
        self._is_hurried = True
        grace = self.config.grace_seconds
        self._hurry_at = clock.monotonic() + max(grace / 2, grace - LAST_SECONDS)
        self.retire()

    def retire(self) -> None:
        """Do the same, and leave what is being performed all the time that it takes."""
        self.stopping.set()
        self._wake.set()

    def interrupt(self, id: ObjectId) -> None:
        """Have a job end that is performed here, if the store says that it is not ours any more."""
        for worker in self.all_workers():
            job = worker.job
            if job is not None and job.id == id and (error := taken_from(job)) is not None:
                performance_of(job).ask(error)

    def _ask_to_stop(self) -> None:
        """Tell those that are performed, and ask, that the server stops."""
        for worker in self.all_workers():
            if (job := worker.job) is not None:
                performance_of(job).ask(ServerStopping())
        if self.on_loop is not None and clock.monotonic() >= self._hurry_at:
            cancelled = self.on_loop.cancel()
            if self.watch is not None:
                self.watch.set_cut_short(cancelled)

    def wake(self) -> None:
        """Look at once whether there is something to do."""
        self._wake.set()

    def join(self, timeout: float) -> bool:
        """Wait for the threads; return whether all have ended."""
        deadline = clock.monotonic() + timeout
        for worker in self.workers:
            worker.thread.join(max(0.0, deadline - clock.monotonic()))
        left = max(0.0, deadline - clock.monotonic())
        have_ended = self.on_loop is None or self.on_loop.join(left)
        return have_ended and not any(worker.thread.is_alive() for worker in self.workers)

    def all_workers(self) -> list[PoolWorker]:
        """Return the threads, and the places on the event loop."""
        return [*self.workers, *(self.on_loop.workers if self.on_loop is not None else ())]

    def _is_done(self) -> bool:
        if not self.stopping.is_set():
            return False
        if self._is_hurried:
            self._ask_to_stop()  # at each turn: a thread may have been about to begin
        if self._tasks or self.commits.waiting:
            return False
        if self._unwanted or self.commits.removed:
            return False
        if self.on_loop is not None and not self.on_loop.is_idle:
            return False
        with self._ready:
            return self._idle == len(self.workers) and not self.commits.waiting and not self._tasks

    def _end(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify_all()
        if self.on_loop is not None:
            self.on_loop.end()
        self.join(5)
        if self.watch is not None:
            self.watch.set_worked(self.worked)  # with those that came after the last turn

    def _step(self) -> None:
        self._wake.clear()
        if self.watch is not None:
            self.watch.set_worked(self.worked)
            self.watch.set_turn(clock.monotonic())
        mark = (self.bell or self.queue.store).change_mark()
        self.commits.write(at_once=not self._tasks or bool(self._asking))
        self._make_way()
        self._release_backlog()
        self._check_claims()
        claimed = self._claim()
        if not claimed:
            self._rest(mark)

    def _make_way(self) -> None:
        """Let jobs begin that may take long, at a moment when nothing is being written."""
        while self._asking and not self.commits.waiting:
            clear, begun = self._asking.pop()
            clear.set()
            begun.wait(BEGIN_SECONDS)

    def _claim(self) -> bool:
        self._found_nothing = False
        if self.stopping.is_set() or not self.may_claim():
            return False
        if len(self.commits.waiting) > BACKLOG_LIMIT:
            return False  # they are written one by one: no faster than that
        on_loop = self._loop_has_room() and self._claim_on_loop()
        room = self._room()
        if room <= 0:
            return on_loop
        jobs = self.queue.claim(room, places=self._idle, patience=LOOK_PAST_SECONDS)
        if not jobs:
            self._found_nothing = True
            return on_loop
        self._claimed_at = clock.monotonic()
        self._add(jobs)
        if len(jobs) <= self._idle:
            # There is little to do: they take the jobs up now, and not when this thread, which has
            # the interpreter, comes to wait for the store.
            self._wake.wait(YIELD_SECONDS)
        return True

    def _loop_has_room(self) -> bool:
        """Return whether places on the loop can be filled; not beside a job in quarantine."""
        is_alone = self.end_when_idle and (self._tasks or self._idle < len(self.workers))
        return self.on_loop is not None and not is_alone and self.on_loop.room > 0

    def _claim_on_loop(self) -> bool:
        return self.on_loop is not None and self.on_loop.claim(LOOK_PAST_SECONDS)

    def _room(self) -> int:
        """Return how many jobs to claim: one for each idle thread, and a little more."""
        if self.end_when_idle:  # one at a time: what it holds when it dies is what it performed
            is_free = self.on_loop is None or self.on_loop.is_idle
            return self._idle - len(self._tasks) if is_free else 0
        ahead = min(BACKLOG_LIMIT, int(BACKLOG_SECONDS / max(self._mean, 1e-5)))
        # Claim again only when half of it is used up: few large claims cost less than many small.
        waiting = len(self._tasks)
        if waiting > ahead // 2 and waiting >= self._idle:
            return 0
        return max(self._idle, ahead if ahead > 1 else 0) - waiting

    def _add(self, jobs: list[Job]) -> None:
        for job in jobs:
            if (claim := claim_of(job)) is not None:
                self._held[job.id] = claim.number
        if self._tasks:
            waiting = [*self._drain(), *jobs]
            waiting.sort(key=urgency)
            self._tasks.extend(waiting)
        else:
            self._tasks.extend(jobs)
        self._call_threads(1 if self._mean < QUICK_SECONDS else len(jobs))

    def _call_threads(self, count: int) -> None:
        if self._idle:
            with self._ready:
                self._ready.notify(count)

    def _drain(self) -> list[Task]:
        tasks: list[Task] = []
        while True:
            try:
                tasks.append(self._tasks.popleft())
            except IndexError:
                return tasks

    def _release_backlog(self) -> None:
        """Queue again what was claimed and will not be started soon."""
        stale = clock.monotonic() - self._claimed_at > STALE_SECONDS and not self._idle
        if self._tasks and (stale or self.stopping.is_set() or not self.may_claim()):
            waiting = self._drain()
            self._unwanted += [task for task in waiting if isinstance(task, Job)]
            self._tasks.extend(task for task in waiting if not isinstance(task, Job))
            if stale:
                self._mean = max(self._mean, STALE_SECONDS)
        if self.on_loop is not None:
            ends = self.stopping.is_set() or not self.may_claim()
            self._unwanted += self.on_loop.release_unstarted(ends)
        if unwanted := self._unwanted[:]:
            self.queue.release(unwanted)
            for job in unwanted:
                self.released(job, claim_of(job))
            del self._unwanted[: len(unwanted)]  # only now: if the store is away they are kept

    def _check_claims(self) -> None:
        """Release what the store says is held here, and the pool knows nothing of.

        So a claim whose answer was lost, or a job whose end could not be written, does not stay
        running for as long as the process lives.
        """
        if not self.commits.is_unsure and clock.monotonic() < self._next_check:
            return
        jobs, held = self.queue.store.collection(COLLECTION), held_by(self.queue.claimed_by)
        unknown = [job["_id"] for job in jobs.find(held, {"claim_number": 1}) if self._is_lost(job)]
        if unknown:  # only those are read as a whole
            found = jobs.find({"$and": [{"_id": {"$in": unknown}}, held]})
            lost = [job for job in found if self._is_lost(job)]
            log.warning("claims that nobody works on are released", jobs=len(lost))
            self.queue.store.write_many(COLLECTION, [release(job) for job in lost])
        self.commits.is_unsure = False
        self._next_check = clock.monotonic() + self.config.re_check_seconds

    def _is_lost(self, job: Stored) -> bool:
        """Return whether nobody here knows of a claim; a thread may be about to note its own."""
        busy = any(worker.job_id == job["_id"] for worker in self.all_workers())
        return not busy and self._held.get(job["_id"]) != job["claim_number"]

    def _rest(self, mark: Any) -> None:
        """Wait until there may be something to do."""
        if self._tasks and self._idle:
            self._call_threads(1)  # the jobs are slower than was thought: more threads help
        if self.commits.waiting or self.commits.removed:
            self._wake.wait(GATHER_SECONDS)
        elif self._has_backlog() or self.stopping.is_set() or not (queues := self._with_room()):
            self._wake.wait(0.002 if self._tasks else 0.05)
        elif any(queue.sees_on for queue in queues) and self.may_claim():
            return
        elif self.end_when_idle and self._found_nothing and self._idle == len(self.workers):
            self.stop()
        elif self.may_claim():
            self._look_not_too_often()
            if self.watch is not None:
                self.watch.set_turn(0.0)
            self._wait_for_news(mark, self._idle_seconds(queues))
        else:
            self._wake.wait(0.1)

    def _wait_for_news(self, mark: Any, seconds: float) -> None:
        """Wait for a change; where it is told of all, also for a jump of the clock."""
        if self.bell is None:
            self.queue.store.wait_for_change(mark, seconds, self._wake)
            return
        ahead, end = clock.now().timestamp() - clock.monotonic(), clock.monotonic() + seconds
        while (left := end - clock.monotonic()) > 0 and not self._wake.is_set():
            piece = min(left, self.config.max_poll_seconds)
            if self.bell.wait_for_change(mark, piece, self._wake):
                return
            if abs(clock.now().timestamp() - clock.monotonic() - ahead) > CLOCK_SECONDS:
                return

    def _has_backlog(self) -> bool:
        return bool(self._tasks or (self.on_loop is not None and self.on_loop.has_backlog))

    def _with_room(self) -> list[Queue]:
        """Return the queues from which something could be claimed."""
        queues = [self.queue] if self._room() > 0 else []
        if self.on_loop is not None and self._loop_has_room():
            queues.append(self.on_loop.queue)
        return queues

    def _look_not_too_often(self) -> None:
        """Pause, if others write so much that a look for work would follow the other."""
        too_soon = self._looked_at + LOOK_SECONDS - clock.monotonic()
        if too_soon > 0:
            self._wake.wait(too_soon)
        self._looked_at = clock.monotonic()

    def _idle_seconds(self, queues: list[Queue]) -> float:
        """Return how long to wait at most: until a job is due, or is to be asked about again."""
        now = clock.now()
        due = self.queue.next_due(now)
        again = (min(q.looks_again_in, q.eligible.deferred.ends_in()) for q in queues)
        # Whoever is told of all that is written need not ask again, but for what depends on time.
        is_told = self.bell is not None and not any(queue.leaves_some for queue in queues)
        poll = self.config.re_check_seconds if is_told else self.config.max_poll_seconds
        longest = min(poll, *again)
        if due is None:
            return longest
        return max(0.0, min(longest, (due - now).total_seconds()))


def _document_of(task: Change | Refused) -> Any:
    return (task if isinstance(task, Change) else task.change).document
