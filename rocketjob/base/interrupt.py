"""An event that ends the waiting of a thread, whatever the thread waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupt(threading.Event):
    """An event that also calls those who are waiting for something else.

    A thread that waits for a change in the store cannot wait for an event too. It has itself called
    instead, and need not look at the event every few milliseconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        super().set()
        for callback in list(self._callbacks):
            callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` in the thread that sets the event, while the block runs.

        Look at `is_set` within the block: it may have been set before.
        """
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)
