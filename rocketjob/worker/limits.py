"""What is done about a job that is past its `timeout`, or stuck, while a thread performs it.

The job is asked to end. If it does not look, as one that waits for a socket, nobody can end its
thread: but it can be failed in the store, under its claim, with the line at which it hangs. Then
the claim is gone, and whatever the thread brings later is refused. A process whose threads all hang
so is of no use any more, and gives itself up; likewise one whose places for async jobs all do, or
whose event loop is blocked by such a job.

One thread a process does this, started with the first job that has a limit. Where it cannot run
either, since a job holds the interpreter, the supervisor sees the limit that nobody has minded, in
the memory that it shares, and ends the process: see `rocketjob.server.stalled`.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from math import inf
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from rocketjob.base import clock
from rocketjob.base.ending import end_as_spoilt
from rocketjob.base.errors import JobTimeout
from rocketjob.base.log import Logger
from rocketjob.base.tracebacks import is_ours
from rocketjob.jobs import claims, stuck
from rocketjob.jobs.exception import JobException, describe_as
from rocketjob.jobs.performance import Performance, performance_of

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

log = Logger("rocketjob.worker")

GIVE_UP_SECONDS = 2.0  # that a job has to end by itself once it was asked to
RETRY_SECONDS = 1.0  # where the store is away

GiveUp = Callable[[JobTimeout], bool]
"""Fails in the store what a thread hangs at; returns whether it was still the thread's."""


class Board(Protocol):
    """Shows the supervisor until when each thread may work: see `rocketjob.worker.slots`."""

    def set_deadline(self, number: int, at: float) -> None: ...


@attrs.define(eq=False)
class Watched:
    """A job, or a part of one, with a limit, on a thread."""

    job: Job
    part: int | None
    give_up: GiveUp
    number: int
    stack: Callable[[], list[str]]
    performance: Performance
    stuck_at: float
    give_up_at: float = inf
    is_asked: bool = False
    is_lost: bool = False

    def next(self) -> float:
        """Return when something is to be done about it."""
        until = self.performance.until
        due = inf if until is None or self.is_asked else until
        return min(due, self.stuck_at, inf if self.is_lost else self.give_up_at)

    def put_off(self, at: float) -> None:
        """Try nothing before a time that has failed now; what is to be done later stays so."""
        self.stuck_at, self.give_up_at = max(self.stuck_at, at), max(self.give_up_at, at)


class Limits:
    """Watches the jobs of one pool that have limits.

    Args:
        threads: how many the pool has.
        is_written: whether all that the pool's threads have finished is stored.
        places: for how many jobs on the event loop it has room besides.
    """

    def __init__(
        self,
        threads: int,
        board: Board | None,
        is_written: Callable[[], bool] = lambda: True,
        places: int = 0,
    ) -> None:
        self._threads, self._places = threads, places
        self._board, self._is_written = board, is_written
        self._watched: set[Watched] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, watched: Watched) -> None:
        """Begin to watch."""
        self._show(watched)
        with self._changed:
            self._watched.add(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="limits", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, watched: Watched) -> None:
        """Watch no longer: it has ended."""
        if self._board is not None:
            self._board.set_deadline(watched.number, 0.0)
        with self._changed:
            self._watched.discard(watched)

    def _show(self, watched: Watched) -> None:
        if self._board is not None and (left := watched.performance.left()) is not None:
            self._board.set_deadline(watched.number, clock.monotonic() + left)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = clock.elapsed()
                due = [each for each in self._watched if each.next() <= now]
                if not due:
                    soonest = min((each.next() for each in self._watched), default=inf)
                    self._changed.wait(None if soonest == inf else soonest - now)
            for each in due:
                self._attend_to(each, now)
            self._end_if_useless()

    def _attend_to(self, watched: Watched, now: float) -> None:
        try:
            self._ask_if_due(watched, now)
            if watched.give_up_at <= now and not watched.is_lost:
                self._give_up(watched)
            if watched.stuck_at <= now:
                stuck.note(watched.job, watched.part, watched.stack())
                watched.stuck_at = inf
        except Exception as error:
            log.warning("a limit cannot be seen to yet", job=repr(watched.job), error=str(error))
            watched.put_off(now + RETRY_SECONDS)

    def _ask_if_due(self, watched: Watched, now: float) -> None:
        """Ask it to end, unless it has by now: its thread may be at the next one already."""
        with self._changed:
            if watched.is_asked or watched not in self._watched or not watched.performance.is_due():
                return
            watched.is_asked, watched.give_up_at = True, now + GIVE_UP_SECONDS
            if self._board is not None:
                self._board.set_deadline(watched.number, 0.0)
            watched.performance.ask_for_time()

    def _give_up(self, watched: Watched) -> None:
        """Fail what a thread hangs at, and leave the thread to itself."""
        if watched not in self._watched:
            return
        error = JobTimeout(
            f"It has not ended within its timeout of {watched.job.timeout}, and could not be "
            "interrupted: its thread goes on, and what it brings is refused"
        )
        describe_as(error, JobException("JobTimeout", str(error), watched.stack()))
        watched.is_lost = watched.give_up(error)
        watched.give_up_at = inf
        if watched.is_lost:
            watched.job.logger.error("hangs", part=watched.part, thread=watched.number)

    def has_given_up(self, job: Job) -> bool:
        """Return whether a job was failed in the store while it went on here."""
        return any(each.is_lost and each.job is job for each in list(self._watched))

    def end_since(self, why: str, is_so: Callable[[], bool]) -> None:
        """End this process for a reason, if that holds, and still does when all is stored."""
        if not is_so():
            return
        while not self._is_written():
            threading.Event().wait(0.01)
        if is_so():
            end_as_spoilt(why)

    def _end_if_useless(self) -> None:
        reason = "hangs at a job that is past its timeout"
        self.end_since(f"every thread {reason}", lambda: self._hanging()[0] == self._threads)
        if self._places:
            every = f"every place on the event loop {reason}"
            self.end_since(every, lambda: self._hanging()[1] == self._places)

    def _hanging(self) -> tuple[int, int]:
        """Count the threads that hang, and the jobs on the event loop that do, without one."""
        numbers = [each.number for each in list(self._watched) if each.is_lost]
        on_threads = sum(number <= self._threads for number in numbers)
        return on_threads, len(numbers) - on_threads


@contextmanager
def within_limits(
    job: Job,
    limits: Limits | None,
    number: int,
    part: int | None,
    give_up: GiveUp,
    stack: Callable[[], list[str]] | None = None,
) -> Iterator[None]:
    """Perform a job, or a part of it, that has a `timeout` or is to be said to be stuck.

    Args:
        limits: of the pool; None for one that is performed inline, which ends where it looks.
        number: of the worker.
        stack: says where it is; by default where this thread is.
    """
    performance = performance_of(job)
    performance.begin(job.timeout)
    try:
        if limits is None:
            yield
            return
        stack = stack or partial(stack_of, threading.get_ident())
        stuck_at = _later(job.stuck_after)
        watched = Watched(job, part, give_up, number, stack, performance, stuck_at)
        limits.add(watched)
        try:
            yield
        finally:
            limits.remove(watched)
    finally:
        performance.end()


def _later(delay: timedelta | None) -> float:
    return inf if delay is None else clock.elapsed() + delay.total_seconds()


def still_held(job: Job) -> Job | None:
    """Return a fresh object of a job that is running under the same claim; None if it is not."""
    claim = claims.claim_of(job)
    if claim is None:
        return None
    stored = job.collection().find_one(claims.running_under(job.id, claim))
    if stored is None:
        return None
    fresh: Any = type(job).from_document(stored)
    claims.hold(fresh, claim)
    return fresh  # type: ignore[no-any-return]


def stack_of(thread: int) -> list[str]:
    """Return the lines of a thread's stack, from the job's own code on, innermost call last."""
    frame: FrameType | None = sys._current_frames().get(thread)
    frames = [each for each, _ in traceback.walk_stack(frame)][::-1] if frame is not None else []
    return own_lines(frames)


def own_lines(frames: list[FrameType]) -> list[str]:
    """Return the lines of frames, from the job's own code on, the innermost call last."""
    first = next((i for i, each in enumerate(frames) if is_ours(each)), 0)
    own = next((i for i, each in enumerate(frames[first:]) if not is_ours(each)), 0)
    lines = traceback.StackSummary.extract((f, f.f_lineno) for f in frames[first + own :])
    return "".join(lines.format()).splitlines()
