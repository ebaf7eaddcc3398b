"""Calls that are made later, all on one thread of the process, which is there while it is needed.

Hundreds of jobs may be on one event loop, each with something to be written in a second: a timer
for each would be as many threads.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable
from itertools import count

from rocketjob.base.log import Logger

log = Logger("rocketjob")


class Later:
    """What is due, and the thread that waits for it."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()  # so that two of one time are not compared further
        self._changed = threading.Condition()
        self._is_running = False

    def call(self, delay: float, function: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._numbers), function))
            self._changed.notify()
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="rocketjob-later", daemon=True).start()

    def _run(self) -> None:
        while (function := self._next()) is not None:
            try:
                function()
            except Exception:
                log.exception("what was to be done later has failed")

    def _next(self) -> Callable[[], None] | None:
        """Return what is due next, waiting for it; None, for the thread to end, if nothing is."""
        with self._changed:
            while self._due:
                left = self._due[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._due)[-1]
                self._changed.wait(left)
            self._is_running = False
            return None


_later = Later()


def call(delay: float, function: Callable[[], None]) -> None:
    """Call a function after some seconds, on the thread of this process for that.

    It holds the others up while it waits, so it should not for long.
    """
    _later.call(delay, function)


def _after_fork() -> None:
    global _later
    _later = Later()  # the thread was not forked


os.register_at_fork(after_in_child=_after_fork)
