"""The heartbeat of a server: it says for the whole tree of processes that they live."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from rocketjob.base import clock
from rocketjob.base.backoff import jittered
from rocketjob.base.log import Logger
from rocketjob.jobs.holds import Clause
from rocketjob.server.process_tree import ProcessTree
from rocketjob.server.registration import Registration

log = Logger("rocketjob.supervisor")
RETRY = 1.0  # seconds after a beat that failed


class Heartbeat:
    """Beats on a thread of its own, from `start` until the server and its processes have ended.

    Args:
        seconds: between two beats.
        state: the server's, in case the others have declared it dead.
        stopping: set when the server stops; it beats on as long as a process lives.
        problems: what is wrong with its plugins, for `doctor`.
        clauses: what they let the server take.

    Attributes:
        at: when it last succeeded, in seconds of the monotonic clock; 0.0 before the first time.
    """

    def __init__(
        self,
        registration: Registration,
        tree: ProcessTree,
        seconds: float,
        state: Callable[[], str],
        stopping: threading.Event,
        problems: Callable[[], list[str]],
        clauses: Callable[[], list[Clause]],
    ) -> None:
        self.seconds, self.at = seconds, 0.0
        self._registration, self._tree = registration, tree
        self._state, self._stopping, self._problems = state, stopping, problems
        self._clauses = clauses
        self._said: int | None = None  # how many workers the last beat spoke of
        self._performing, self._paused = 0, False  # and how much in work; whether it was paused
        self._thread = threading.Thread(target=self.run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the last beat, if there was a first."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def is_late(self) -> bool:
        """Return whether it has failed for so long that others may take this server for dead."""
        return clock.monotonic() - self.at > 2 * self.seconds

    def run(self) -> None:
        number, wait = 0, 0.0
        while self._has_to_beat():
            self.sleep(wait)
            number += 1
            try:
                self.beat(number)
                wait = self.seconds
            except Exception as error:
                log.error("the heartbeat failed", error=f"{type(error).__name__}: {error}")
                wait = jittered(min(RETRY, self.seconds))

    def sleep(self, seconds: float) -> None:
        """Wait, in short steps, so that the end of the last process ends the waiting too."""
        end = clock.monotonic() + seconds
        while clock.monotonic() < end and self._has_to_beat() and not self._has_news():
            threading.Event().wait(min(0.25, max(0.0, end - clock.monotonic())))

    def _has_news(self) -> bool:
        """Return whether processes have become ready, or have ended: that is said at once.

        So is what a paused server has in work: somebody may be waiting for it to be done.
        """
        if self._said is None:
            return False
        if self._said != self._tree.workers() or self._paused != self._tree.paused:
            return True
        return self._paused and self._performing != len(self._tree.performing())

    def _has_to_beat(self) -> bool:
        return not self._stopping.is_set() or bool(self._tree.processes)

    def beat(self, number: int) -> None:
        """Write one beat, and let the processes know of it."""
        if self.at and self.is_late():
            log.warning("the heartbeat was late", seconds=round(clock.monotonic() - self.at, 1))
        paused = self._tree.paused
        beat = heartbeat(number, self._tree.workers(), self._tree.performing(), self._problems())
        beat |= {"version": _version(), "memory": self._tree.memory()}
        if asked_at := self._registration.drain.get("draining_at"):
            beat["draining_at"] = asked_at
        if on_loops := self._tree.on_loops():
            beat["on_loops"] = on_loops
        if clauses := self._clauses():
            beat["clauses"] = [clause.stored() for clause in clauses]
        self._said, self._performing = beat["workers"], len(beat["performing"])
        self._paused = paused
        self._registration.beat(beat, self._state())
        # Only now may the processes claim again, if they had stopped because this was late.
        self.at = clock.monotonic()
        self._tree.set_beat(self.at)


@functools.cache
def _version() -> str:
    """Return which RocketJob this server runs."""
    import importlib.metadata  # for start-up time

    return importlib.metadata.version("rocketjob")


def heartbeat(
    number: int, workers: int, performing: list[str], problems: list[str]
) -> dict[str, Any]:
    """Return a heartbeat as it is stored."""
    return {
        "updated_at": clock.now(),
        "number": number,
        "workers": workers,
        "performing": performing,
        "problems": problems,
    }
