"""Counting changes, for stores that learn of each one in this process."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import Any, Protocol

from rocketjob.base.interrupt import Interrupt


class News(Protocol):
    """Who tells that something was written: a store, or another process that watches it."""

    def change_mark(self) -> Any:
        """Return a mark of what is known at present, for `wait_for_change`."""
        ...

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: Interrupt | None = None
    ) -> bool:
        """Wait until there is news since `mark`; see `Store.wait_for_change`."""
        ...


class ChangeCounter:
    """Counts changes, and wakes the threads that wait for the next one.

    Attributes:
        count: a mark for `wait`; it grows with every change.
    """

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        """Count a change, and wake all who wait."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, mark: int, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """Wait until there was a change since `mark`; see `Store.wait_for_change`.

        Args:
            timeout: in seconds.
        """
        end = time.monotonic() + timeout
        with interrupt.calling(self.notify) if interrupt else nullcontext(), self._changed:
            while self.count == mark and not (interrupt is not None and interrupt.is_set()):
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return self.count != mark

    def notify(self) -> None:
        """Let all who wait look again, without a change."""
        with self._changed:
            self._changed.notify_all()


class Told(ChangeCounter):
    """News that somebody else finds out, and adds."""

    def change_mark(self) -> Any:
        return self.count

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: Interrupt | None = None
    ) -> bool:
        return self.wait(mark, timeout, interrupt)
