"""Wait for a commit by this or another process, using hardly any processor time.

A commit in this process wakes its waiters. For commits of other processes, waiters have to look. On
Linux the kernel says when (inotify: the write-ahead log was written to), and occasional looks are
only a safety net. Elsewhere, waiters look every `POLL_SECONDS`.

The log is written shortly before the commit becomes visible, by as much as the time of an fsync. So
a waiter that was woken looks repeatedly for a while.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Protocol

POLL_SECONDS: Final = 0.02  # about 0.4 % of a core for each thread that waits
LOOK_SECONDS: Final = 0.25  # for waiters that the kernel wakes
SHORT_LOOKS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)  # once woken
DEAF_SECONDS: Final = 0.001  # after the bell
IN_MODIFY: Final = 2  # inotify(7)
IN_EVENTS: Final = 4096  # bytes read at once: inotify merges equal events


class Bell:
    """Rings when any process writes to a file, through inotify.

    Raises:
        OSError: there is no inotify here, or this user has no instance left.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("inotify exists only on Linux")
        import ctypes  # for start-up time

        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")

    def watch(self, path: str) -> bool:
        """Ring for the file with this path; return whether that is possible."""
        watched: int = self._libc.inotify_add_watch(self.descriptor, os.fsencode(path), IN_MODIFY)
        return watched >= 0

    def silence(self) -> None:
        """Forget what it has rung for."""
        with suppress(BlockingIOError):
            os.read(self.descriptor, IN_EVENTS)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # `close` is a default argument because modules may be gone when the interpreter exits.
        if getattr(self, "descriptor", -1) >= 0:
            close(self.descriptor)


class Waiter(Protocol):
    """How one thread waits."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is time to look again; return whether others should look too."""
        ...

    def wake(self) -> None:
        """End this wait, or the next one if none is under way; called from another thread."""
        ...


class PollingWaiter:
    """Wakes itself every few milliseconds, or when a thread of this process wakes it."""

    def __init__(self) -> None:
        # a bare lock, because waiting on a Condition takes three times the processor time
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, timeout: float) -> bool:
        self._lock.acquire(timeout=min(timeout, POLL_SECONDS))
        return False

    def wake(self) -> None:
        with suppress(RuntimeError):  # already woken
            self._lock.release()


class RungWaiter:
    """Sleeps until the bell rings or a thread of this process wakes it."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._event, select.POLLIN)
        self._poll_all = select.poll()
        self._poll_all.register(self._event, select.POLLIN)
        self._poll_all.register(bell.descriptor, select.POLLIN)
        self._looks: Iterator[float] = iter(())
        self._is_deaf = False

    def wait(self, timeout: float) -> bool:
        if self._is_deaf:  # otherwise a large transaction would keep it looking without a pause
            self._is_deaf = False
            self._listen(self._poll, min(timeout, DEAF_SECONDS))
            return False
        pause = next(self._looks, LOOK_SECONDS)
        ready = self._listen(self._poll_all, min(timeout, pause))
        if ready:
            self._looks = iter(SHORT_LOOKS)
        if self._bell.descriptor not in ready:
            return False
        self._bell.silence()
        self._is_deaf = True
        return True

    def _listen(self, poll: select.poll, seconds: float) -> list[int]:
        ready = [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
        if self._event in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self._event)
        return ready

    def wake(self) -> None:
        os.eventfd_write(self._event, 1)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if (event := getattr(self, "_event", -1)) >= 0:
            close(event)
