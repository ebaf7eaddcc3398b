"""Forks: a child must not inherit any state of SQLite.

SQLite keeps in memory, for the whole process, which file locks it holds. A child that inherits that
memory believes that it holds locks which the system has granted only to its parent; when the parent
closes, the child writes to deleted files. And a mutex that another thread held stays locked. So
before a fork, all threads are kept out and all connections are closed; parent and child then open
their own. If that is impossible, the child may not use SQLite.
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

WAIT_SECONDS: Final = 2.0  # for threads that are inside SQLite
REFUSAL: Final = (
    "This process was forked while a transaction of its parent was open, so it cannot use SQLite: "
    "fork outside of transactions, or start the process with the method spawn"
)


class Connection(Protocol):
    """What has to be closed before a fork: see `connection`."""

    lock: Any
    depth: int
    closed: bool

    @property
    def files(self) -> object: ...

    def close(self) -> None: ...


class Forkable(Protocol):
    """An object that has connections."""

    def connections(self) -> Iterable[Connection]: ...


class Gate:
    """What threads pass to open or close a connection, and where they wait during a fork."""

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
        """Check that SQLite can be used in this process.

        Raises:
            StoreError: it was forked while its parent was inside SQLite.
        """
        if self.is_refused:
            raise StoreError(REFUSAL)

    def before_fork(self) -> None:
        """Keep all other threads out of SQLite, and close the connections."""
        self._forking.acquire()
        deadline = time.monotonic() + WAIT_SECONDS
        self._take(deadline)  # before the gate is shut: threads inside may have to pass it
        self._is_shut = self.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        if not self._is_shut:
            self._is_clean = False
            return
        self._take(deadline)  # those opened since
        for connection in self._held:
            if connection.depth:  # a transaction of this thread
                self._is_clean = False
            elif connection.files is not None:  # an in-memory database would be lost
                connection.close()

    def _take(self, deadline: float) -> None:
        with self.lock:
            connections = [
                connection for database in self.databases for connection in database.connections()
            ]
        for connection in connections:
            if connection.closed or any(held is connection for held in self._held):
                continue
            timeout = max(0.0, deadline - time.monotonic()) if self._is_clean else 0.0
            if connection.lock.acquire(timeout=timeout):
                self._held.append(connection)
                self._is_clean = self._is_clean and not connection.depth
            else:
                self._is_clean = False

    def after_fork(self) -> None:
        """Let the threads of the parent continue."""
        for connection in self._held:
            connection.lock.release()
        self._held = []
        if self._is_shut:
            self.lock.release()
        self._is_shut, self._is_clean = False, True
        self._forking.release()

    def after_fork_in_child(self) -> None:
        """Start without the locks of threads that do not exist in the child."""
        self.is_refused = not self._is_clean
        self._renew()


gate = Gate()
os.register_at_fork(
    before=gate.before_fork,
    after_in_parent=gate.after_fork,
    after_in_child=gate.after_fork_in_child,
)
