"""Waiting for a commit, of this process or of another, with next to no processor time.

A commit of this process wakes its waiters. That another process committed must be looked for. On
Linux the kernel says when (inotify: the write-ahead log was written to), and a look now and then is
only for the case that it does not. Elsewhere the waiters look every `POLL_SECONDS`.

The log is written to before the commit can be seen, by a moment or by the time of an fsync. So who
was woken looks again and again for a while.
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
LOOK_SECONDS: Final = 0.25  # for those whom the kernel wakes
SHORT_LOOKS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)  # once woken
DEAF_SECONDS: Final = 0.001  # after the bell
IN_MODIFY: Final = 2  # inotify(7)
IN_EVENTS: Final = 4096  # bytes read at once: many equal events are one


class Bell:
    """Rings when a file is written to, by whichever process: an inotify instance.

    Raises:
        OSError: there is no inotify here, or no instance is left for this user.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("inotify is a part of Linux")
        import ctypes  # for start-up time

        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")

    def watch(self, path: str) -> bool:
        """Ring for the file of that name; return whether that is possible."""
        watched: int = self._libc.inotify_add_watch(self.descriptor, os.fsencode(path), IN_MODIFY)
        return watched >= 0

    def silence(self) -> None:
        """Forget what it has rung for."""
        with suppress(BlockingIOError):
            os.read(self.descriptor, IN_EVENTS)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # `close` is kept as a default: when the interpreter ends, modules go before objects do.
        if getattr(self, "descriptor", -1) >= 0:
            close(self.descriptor)


class Waiter(Protocol):
    """One thread's waiting."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is time to look again; return whether others should look, too."""
        ...

    def wake(self) -> None:
        """End the wait, from another thread; or the next one."""
        ...


class PollingWaiter:
    """Wakes itself every few milliseconds, or when a thread of this process wakes it."""

    def __init__(self) -> None:
        # a bare lock, because a Condition's wait takes three times the processor time
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, timeout: float) -> bool:
        self._lock.acquire(timeout=min(timeout, POLL_SECONDS))
        return False

    def wake(self) -> None:
        with suppress(RuntimeError):  # it has been woken already
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
        if self._is_deaf:  # or a large transaction would keep us looking without a pause
            self._is_deaf = False
            self._listen(self._poll, min(timeout, DEAF_SECONDS))
            return False
        pause = next(self._looks, LOOK_SECONDS)
        found = self._listen(self._poll_all, min(timeout, pause))
        if found:
            self._looks = iter(SHORT_LOOKS)
        if self._bell.descriptor not in found:
            return False
        self._bell.silence()
        self._is_deaf = True
        return True

    def _listen(self, poll: select.poll, seconds: float) -> list[int]:
        found = [each for each, _ in poll.poll(seconds * 1000)]
        if self._event in found:
            with suppress(BlockingIOError):
                os.eventfd_read(self._event)
        return found

    def wake(self) -> None:
        os.eventfd_write(self._event, 1)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if (event := getattr(self, "_event", -1)) >= 0:
            close(event)
