"""Forks: nothing of SQLite's may be copied into a child.

SQLite keeps in memory, for the whole process, which locks of a file it has. A child that inherits
that memory believes that it holds what the system has given to its parent alone; when the parent
closes, the child writes into deleted files. And a mutex that another thread held stays locked. So
before a fork all threads are kept out and all connections are closed; parent and child open their
own again. Where that cannot be, SQLite is refused in the child.
See https://sqlite.org/howtocorrupt.html, section 2.6.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable
from typing import Any, Final, Protocol

from rocketjob.base.errors import StoreError

WAIT_SECONDS: Final = 2.0  # for the threads that are within SQLite
REFUSAL: Final = (
    "This process was forked while a transaction of its parent was open, so it cannot use SQLite: "
    "fork outside of transactions, or start the process with the method spawn"
)


class Connection(Protocol):
    """What has to be closed: see `connection`."""

    lock: Any
    depth: int
    closed: bool

    @property
    def file(self) -> object: ...

    def close(self) -> None: ...


class Forkable(Protocol):
    """What has connections."""

    def connections(self) -> Iterable[Connection]: ...


class Gate:
    """Where threads pass that open or close a connection, and where they wait during a fork."""

    def __init__(self) -> None:
        self.databases: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self.is_refused = False  # in a child that was forked at a bad moment
        self._renew()

    def _renew(self) -> None:
        self.lock = threading.RLock()
        self._forking = threading.Lock()
        self._held: list[Connection] = []
        self._is_shut = False
        self._is_clean = True

    def check(self) -> None:
        """See to it that SQLite can be used in this process.

        Raises:
            StoreError: it was forked while its parent was within SQLite.
        """
        if self.is_refused:
            raise StoreError(REFUSAL)

    def before_fork(self) -> None:
        """Keep all other threads out of SQLite, and close the connections."""
        self._forking.acquire()
        deadline = time.monotonic() + WAIT_SECONDS
        self._take(deadline)  # before the gate is shut: whoever is within may have to pass it
        self._is_shut = self.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        if not self._is_shut:
            self._is_clean = False
            return
        self._take(deadline)  # those that were opened meanwhile
        for connection in self._held:
            if connection.depth:  # a transaction of this very thread
                self._is_clean = False
            elif connection.file is not None:  # memory is gone with its connection
                connection.close()

    def _take(self, deadline: float) -> None:
        with self.lock:
            found = [each for database in self.databases for each in database.connections()]
        for connection in found:
            if connection.closed or any(each is connection for each in self._held):
                continue
            left = max(0.0, deadline - time.monotonic()) if self._is_clean else 0.0
            if connection.lock.acquire(timeout=left):
                self._held.append(connection)
                self._is_clean = self._is_clean and not connection.depth
            else:
                self._is_clean = False

    def after_fork(self) -> None:
        """Let the threads of the parent go on."""
        for connection in self._held:
            connection.lock.release()
        self._held = []
        if self._is_shut:
            self.lock.release()
        self._is_shut, self._is_clean = False, True
        self._forking.release()

    def after_fork_in_child(self) -> None:
        """Begin without the locks of threads that are not here."""
        self.is_refused = not self._is_clean
        self._renew()


gate = Gate()
os.register_at_fork(
    before=gate.before_fork,
    after_in_parent=gate.after_fork,
    after_in_child=gate.after_fork_in_child,
)
