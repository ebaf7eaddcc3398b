"""Until when a job may be performed, and what it was asked to end with.

A thread cannot be interrupted from outside. So whoever wants a job to end asks its `Performance`,
and the job finds out where it looks: in `check`, in `sleep`, between the records of a batch, and
where a coroutine waits. That costs a job nothing which is asked nothing: it has no `Performance`
before it needs one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import (
    JobTimeout,
    RocketJobError,
    ServerStopping,
    UnsupportedOperation,
)
from rocketjob.model.record import record_of

_lock = threading.Lock()

Interrupt = Callable[[RocketJobError], None]


class Performance:
    """A job, or a part of one, while it is performed.

    Attributes:
        asked: the error that it is to end with; None as long as nobody asks.
        until: when its time is up, by `clock.elapsed`; None without a limit.
    """

    __slots__ = ("_interrupts", "_limit", "asked", "until")

    def __init__(self) -> None:
        self.asked: RocketJobError | None = None
        self.until: float | None = None
        self._limit: timedelta | None = None
        self._interrupts: list[Interrupt] = []

    def begin(self, limit: timedelta | None) -> None:
        """Begin to count the time; a limit that an earlier part has passed is forgotten."""
        self._limit = limit
        self.until = None if limit is None else clock.elapsed() + limit.total_seconds()
        if isinstance(self.asked, JobTimeout):
            self.asked = None

    def end(self) -> None:
        """Count no longer."""
        self.until = None

    def check(self) -> None:
        """Raise what it was asked to end with, if anything."""
        if self.is_due():
            self.ask_for_time()
        if self.asked is not None:
            raise self.asked.with_traceback(None)

    def is_due(self) -> bool:
        """Return whether its time is up."""
        return self.until is not None and clock.elapsed() >= self.until

    def ask_for_time(self) -> None:
        """Ask it to end, since its time is up."""
        self.ask(JobTimeout(f"It has not ended within its timeout of {self._limit}"))

    def ask(self, error: RocketJobError) -> None:
        """Ask it to end with an error, from any thread; the first one counts.

        Only that the server stops gives way to others, since a job may use its grace period.
        """
        with _lock:
            if self.asked is not None and not isinstance(self.asked, ServerStopping):
                return
            self.asked = error
            interrupts = list(self._interrupts)
        for interrupt in interrupts:
            interrupt(error)

    def left(self, longest: float | None = None) -> float | None:
        """Return the seconds until its time is up, at most `longest`; None: without an end."""
        if self.until is None:
            return longest
        left = max(0.0, self.until - clock.elapsed())
        return left if longest is None else min(left, longest)

    @contextmanager
    def interrupting(self, interrupt: Interrupt) -> Iterator[None]:
        """Have something called, within a block, as soon as it is asked to end: also if it was."""
        with _lock:
            self._interrupts.append(interrupt)
            asked = self.asked
        if asked is not None:
            interrupt(asked)
        try:
            yield
        finally:
            with _lock:
                self._interrupts.remove(interrupt)

    def sleep(self, seconds: float) -> None:
        """Sleep, unless it is to end.

        Raises:
            RocketJobError: what it was asked to end with.
        """
        woken, end = threading.Event(), clock.monotonic() + seconds
        with self.interrupting(lambda _: woken.set()):
            while True:
                self.check()
                rest = end - clock.monotonic()
                if rest <= 0:
                    return
                woken.wait(self.left(min(rest, threading.TIMEOUT_MAX)))


def is_longer_than_nothing(document: Any, attribute: Any, value: timedelta) -> None:
    """Refuse a limit in which nothing can be done; for `field(validator=...)`."""
    if value <= timedelta(0):
        raise ValueError(f"must be longer than nothing, not {value.total_seconds():g}s")


def refuse_in_coroutine() -> None:
    """Refuse to sleep on the thread of an event loop.

    Raises:
        UnsupportedOperation: the caller runs in a coroutine.
    """
    import asyncio  # for start-up time

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UnsupportedOperation(
        "self.sleep(...) in a coroutine would hold up all others: write await asyncio.sleep(...)"
    )


def performance_of(job: Any) -> Performance:
    """Return the performance of a job; it gets one if it has none."""
    record = record_of(job)
    if record.performance is None:
        with _lock:
            if record.performance is None:
                record.performance = Performance()
    performance: Performance = record.performance
    return performance
