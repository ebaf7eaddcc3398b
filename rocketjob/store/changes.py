"""Counting changes, for stores that learn of each one in this process."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

from rocketjob.base.interrupt import Interrupt


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
