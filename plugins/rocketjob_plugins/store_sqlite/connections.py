"""The connections of a process to one database: open them, find them, wait for locks, close them.

Each thread has its own connection. A forked child gets new ones, and so does everybody after the
store was closed.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, TypeVar

from rocketjob.base.errors import RocketJobError, StoreError

from . import failures, holders
from .connection import Connection, open_connection
from .files import FileId, Files, file_id, leftover, trouble
from .forks import gate
from .location import Location
from .waiting import Bell, Waiter

Result = TypeVar("Result")

SHORT_WAIT: Final = 0.0005  # seconds until a writer retries; growing waits would starve one
LONG_WAIT: Final = 0.005  # once it has retried for PATIENCE seconds
PATIENCE: Final = 0.1
CHECK_FILES_SECONDS: Final = 0.5  # how long a reader may keep using a file that was moved


class Process:
    """What a store has in one process; a forked child gets its own."""

    def __init__(self, file: FileId | None = None) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.writers = threading.Lock()
        self.local = threading.local()
        self.connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.memory: Connection | None = None
        self.watcher: Connection | None = None
        self.watchers = 0
        self.file = file  # the one that was opened first since the store was closed
        self.generation = 0  # connections of an earlier one are reopened
        self.changes = 0
        self.waiters: list[Waiter] = []
        self.bell: Bell | None = None  # for the log of the watcher's file

    def wake(self) -> None:
        """Let the threads that wait for a change look."""
        for waiter in list(self.waiters):
            waiter.wake()


class Connections:
    """The connections to one database file (or memory), shared by the threads of a process."""

    def __init__(self, location: Location, *, create: bool) -> None:
        self.location, self._create = location, create
        self.process = Process()
        self.has_made_it = False
        gate.databases.add(self)

    def connections(self) -> list[Connection]:
        """Return the connections of this process, before a fork."""
        process = self.process
        if process.pid != os.getpid():
            return []
        return [*process.connections, *([process.memory] if process.memory else [])]

    def current_process(self) -> Process:
        """Return what this process has, which a forked child begins afresh."""
        process = self.process
        if process.pid != os.getpid():
            gate.check()
            if self.location.in_memory and process.memory is not None:
                raise StoreError(
                    "sqlite://:memory: belongs to the process that opened it, and this is one of "
                    "its children: use a file, which processes can share"
                )
            process = self.process = Process(process.file)
        return process

    def acquire(self, *, writes: bool = False) -> Connection:
        """Return this thread's connection with its lock held, opening it if necessary."""
        while True:
            connection = self.current()
            if not connection.depth:
                self.check_files(connection, writes)
            if not connection.lock.acquire(timeout=self.location.timeout):
                raise failures.locked(self.location)
            if not connection.closed:
                return connection
            connection.lock.release()  # another thread has just closed the store

    def current(self) -> Connection:
        """Return this thread's connection, opening it if necessary."""
        process = self.current_process()
        if self.location.in_memory:
            return process.memory or self._open_memory(process)
        connection: Connection | None = getattr(process.local, "connection", None)
        if connection is None or connection.closed:
            return self._open(process)
        if connection.generation != process.generation and connection.depth == 0:
            connection.close()
            return self._open(process)
        return connection

    # The files

    def check_files(self, connection: Connection, writes: bool = False) -> None:
        """Check now and then that the paths still name the files; before each write, the main one.

        That costs two microseconds, and a log that was moved is noticed after the commit anyway.
        """
        files = connection.files
        if files is None:
            return
        is_due = time.monotonic() - connection.checked >= CHECK_FILES_SECONDS
        if is_due or (writes and files.is_moved()):
            self._check_files_now(connection, files)

    def _check_files_now(self, connection: Connection, files: Files) -> None:
        now, found = time.monotonic(), files.trouble()
        if found is not None and not connection.closed:  # the last to close removes the log
            raise found
        connection.checked = now

    # Opening and closing

    def _open_memory(self, process: Process) -> Connection:
        with process.lock:
            if process.memory is None or process.memory.closed:
                with gate.lock:
                    process.memory = open_connection(self.location, process.generation)
            return process.memory

    def _open(self, process: Process) -> Connection:
        generation = process.generation
        connection = self.open_file(process, generation)
        process.local.connection = connection
        return connection

    def open_file(self, process: Process, generation: int) -> Connection:
        """Open another connection to the file, once it is sure to be the same file."""
        self._check_before_opening(process)
        is_new = file_id(self.location.path) is None
        gate.check()

        def opened() -> Connection:
            with gate.lock:  # a fork closes all registered connections
                connection = open_connection(self.location, generation)
                process.connections.add(connection)
                return connection

        connection = self.patiently(opened)
        assert connection.files is not None
        self._check_files_now(connection, connection.files)
        process.file = process.file or connection.files.database
        self.has_made_it = self.has_made_it or is_new
        return connection

    def _check_before_opening(self, process: Process) -> None:
        """Check that the path names the file of the other connections, with the same log."""
        if (found := trouble(self.location, process.file)) is not None:
            raise found  # rather than begin with an empty one
        for other in list(process.connections):
            if other.files is not None and other.is_of(process.generation):
                self._check_files_now(other, other.files)
        if process.file is None:
            if (log := leftover(self.location)) is not None:
                raise failures.left(self.location, log)
            if users := holders.strangers(self.location.path):
                raise failures.in_foreign_use(self.location, users)
        if not self._create and file_id(self.location.path) is None:
            raise failures.missing(self.location)

    def is_to_be_made(self) -> bool:
        """Return whether the first write is to make the file."""
        if not self._create or self.current_process().file is not None:
            return False
        return self.location.is_to_be_made and leftover(self.location) is None

    def close(self) -> None:
        """Close every connection that no thread is using; the others close after their call."""
        process = self.current_process()
        with process.lock:
            process.generation += 1
            process.file = None
            with gate.lock:
                connections = [*process.connections, process.memory]
            process.memory = process.watcher = process.bell = None
        for connection in connections:
            if connection is not None and connection.lock.acquire(blocking=False):
                try:
                    connection.close()
                finally:
                    connection.lock.release()
        process.wake()

    # Trouble

    def ours(self, error: sqlite3.Error) -> RocketJobError:
        """Return our error for one of SQLite's."""
        if failures.is_read_only(error) and not self.location.in_memory:
            # A connection that was opened meanwhile stays so for as long as it lives.
            self.process.generation += 1
        return failures.translate(error, self.location)

    def translated(self, work: Callable[[], Result]) -> Result:
        """Do the work, raising our errors for SQLite's."""
        try:
            return work()
        except sqlite3.Error as error:
            raise self.ours(error) from error

    def patiently(self, work: Callable[[], Result]) -> Result:
        """Do the work, retrying while another connection is in the way."""
        begin = 0.0
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if not failures.is_busy(error):
                    raise self.ours(error) from error
                now = time.monotonic()
                begin = begin or now
                if now - begin >= self.location.timeout:
                    raise failures.locked(self.location) from error
            wait = SHORT_WAIT if now - begin < PATIENCE else LONG_WAIT
            time.sleep(wait * random.uniform(0.5, 1.5))
