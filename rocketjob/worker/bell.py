"""How a worker process is told that something was written: its supervisor rings.

Waiting for changes costs some stores a question now and then, and an answer for each write. There
the supervisor waits for all its processes, see `rocketjob.server.relay`.
"""

from __future__ import annotations

import contextlib
import os
import threading

from rocketjob.store.changes import Told

AT_ONCE = 4096  # bytes read at once: what was rung while the process was busy counts as once


class Bell:
    """The supervisor's end: a pipe that is never waited for, however long nobody reads it.

    Attributes:
        descriptor: what the process reads.

    Raises:
        OSError: there are too many descriptors.
    """

    def __init__(self) -> None:
        self.descriptor, self._rope = os.pipe()
        os.set_blocking(self._rope, False)
        self._lock = threading.Lock()
        self._closed = False

    def ring(self) -> None:
        """Have the process look; one that has not heard the last times will all the same."""
        # With the lock: another thread closes it, and its number may be another file's then.
        with self._lock, contextlib.suppress(OSError):
            if not self._closed:
                os.write(self._rope, b"!")

    def close(self) -> None:
        """Give back both ends, once the process has ended."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.descriptor)
                os.close(self._rope)


class Rung(Told):
    """The process's end: each time that it is rung counts as a change.

    Args:
        descriptor: as the orders of the process have it.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)  # what jobs start is not to read it
        threading.Thread(target=self._listen, name="bell", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(self._descriptor, AT_ONCE):
                self.add()
        # The supervisor is gone; the process ends too, see `rocketjob.worker_main`.
