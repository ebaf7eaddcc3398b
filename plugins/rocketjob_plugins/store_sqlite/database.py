"""Connections, transactions, waiting for locks and for changes: everything but documents.

Reads and writes are functions of a `Connection`, because they may have to be repeated: when another
process holds the lock for a moment, or has dropped the table of a prepared statement.

Writers of one process queue on the process's own lock, so that only one per process competes for
the file. It retries about every half millisecond: SQLite's own waiting backs off to 100 ms, and
then one of four processes that wrote all the time got 33 of 5000 jobs (bench_store --processes 4).
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final, TypeVar

from rocketjob.base.errors import RocketJobError, StoreError, StoreUnavailable
from rocketjob.base.interrupt import Interrupt

from . import failures, holders
from .connection import Connection, open_connection
from .files import LOG, FileId, Files, beside, file_id, leftover, trouble
from .forks import gate
from .location import MEMORY, Location
from .waiting import Bell, PollingWaiter, RungWaiter, Waiter

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

SHORT_WAIT: Final = 0.0005  # seconds until a writer retries; growing waits would starve one
LONG_WAIT: Final = 0.005  # once it has retried for PATIENCE seconds
PATIENCE: Final = 0.1
NOTHING: Final = Location("sqlite://:memory:", MEMORY, "NORMAL", 30.0)
CHECK_FILES_SECONDS: Final = 0.5  # how long a reader may keep using a file that was moved


class _Process:
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


class Database:
    """One database file (or memory), shared by the threads of a process."""

    def __init__(self, location: Location, *, create: bool = True) -> None:
        self.location, self._create = location, create
        self._process = _Process()
        self.has_made_it = False
        gate.databases.add(self)

    # Connections

    def connections(self) -> list[Connection]:
        """Return the connections of this process, before a fork."""
        process = self._process
        if process.pid != os.getpid():
            return []
        return [*process.connections, *([process.memory] if process.memory else [])]

    def _current_process(self) -> _Process:
        process = self._process
        if process.pid != os.getpid():
            gate.check()
            if self.location.in_memory and process.memory is not None:
                raise StoreError(
                    "sqlite://:memory: belongs to the process that opened it, and this is one of "
                    "its children: use a file, which processes can share"
                )
            process = self._process = _Process(process.file)
        return process

    def _acquire(self, *, writes: bool = False) -> Connection:
        """Return this thread's connection with its lock held, opening it if necessary."""
        while True:
            connection = self._connection()
            if not connection.depth:
                self._check_files(connection, writes)
            if not connection.lock.acquire(timeout=self.location.timeout):
                raise failures.locked(self.location)
            if not connection.closed:
                return connection
            connection.lock.release()  # another thread has just closed the store

    def _connection(self) -> Connection:
        process = self._current_process()
        if self.location.in_memory:
            return process.memory or self._open_memory(process)
        connection: Connection | None = getattr(process.local, "connection", None)
        if connection is None or connection.closed:
            return self._open(process)
        if connection.generation != process.generation and connection.depth == 0:
            connection.close()
            return self._open(process)
        return connection

    def _check_files(self, connection: Connection, writes: bool = False) -> None:
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

    def _open_memory(self, process: _Process) -> Connection:
        with process.lock:
            if process.memory is None or process.memory.closed:
                with gate.lock:
                    process.memory = open_connection(self.location, process.generation)
            return process.memory

    def _open(self, process: _Process) -> Connection:
        generation = process.generation
        connection = self._open_file(process, generation)
        process.local.connection = connection
        return connection

    def _open_file(self, process: _Process, generation: int) -> Connection:
        self._check_before_opening(process)
        is_new = file_id(self.location.path) is None
        gate.check()

        def opened() -> Connection:
            with gate.lock:  # a fork closes all registered connections
                connection = open_connection(self.location, generation)
                process.connections.add(connection)
                return connection

        connection = self._patiently(opened)
        assert connection.files is not None
        self._check_files_now(connection, connection.files)
        process.file = process.file or connection.files.database
        self.has_made_it = self.has_made_it or is_new
        return connection

    def _check_before_opening(self, process: _Process) -> None:
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

    def close(self) -> None:
        """Close every connection that no thread is using; the others close after their call."""
        process = self._current_process()
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
        self._wake(process)

    # Reading and writing

    def is_to_be_made(self) -> bool:
        """Return whether the first write is to make the file."""
        if not self._create or self._current_process().file is not None:
            return False
        return self.location.is_to_be_made and leftover(self.location) is None

    def read(self, work: Work[Result]) -> Result:
        """Return `work(connection)`, on a state that is no older than this call."""
        if self.is_to_be_made():
            return self._read_nothing(work)
        connection = self._acquire()
        try:
            if connection.depth:
                return self._translated(lambda: work(connection))
            return self._patiently(lambda: self._read(connection, work))
        finally:
            connection.lock.release()

    def _read_nothing(self, work: Work[Result]) -> Result:
        """Return what is in a store that nobody has written to; whoever looks makes no file."""
        with gate.lock:
            connection = open_connection(NOTHING, 0)
        try:
            connection.catalog.refresh()
            return work(connection)
        finally:
            connection.close()

    def _read(self, connection: Connection, work: Work[Result]) -> Result:
        try:
            connection.catalog.refresh()
            return work(connection)
        except sqlite3.OperationalError as error:
            if not failures.is_stale(error):
                raise
            # another process dropped or rebuilt the table after we looked
            connection.end_snapshot()
            connection.catalog.forget()
            connection.catalog.refresh()
            return work(connection)
        finally:
            connection.end_snapshot()

    def write(self, work: Work[Result]) -> Result:
        """Return `work(connection)`, run in a transaction: all of it is stored, or nothing."""
        connection = self._acquire(writes=True)
        try:
            if connection.depth:
                return self._translated(lambda: self._within(connection, work))
            self._begin(connection)
            try:
                result = work(connection)
                self._commit(connection)
            except BaseException as error:
                self._roll_back(connection)
                if isinstance(error, sqlite3.Error):
                    raise self._ours(error) from error
                raise
            return result
        finally:
            connection.lock.release()

    def maintain(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(raw)`, which begins transactions of its own: it is not within one."""
        connection = self._acquire(writes=True)
        try:
            if connection.depth:
                raise StoreError(f"{self.location.path} cannot be maintained within a transaction")
            result = self._patiently(lambda: work(connection.raw))
            self._check_written(connection)
            return result
        finally:
            connection.lock.release()

    def _within(self, connection: Connection, work: Work[Result]) -> Result:
        """Do the work inside the thread's transaction; if it fails, undo only this work."""
        raw = connection.raw
        if not raw.in_transaction:
            raise StoreUnavailable(
                f"{self.location.path}: SQLite has rolled the transaction back after an earlier "
                "error: begin it again"
            )
        raw.execute("SAVEPOINT rocketjob")
        try:
            result = work(connection)
        except BaseException:
            _undo_savepoint(connection)
            raise
        raw.execute("RELEASE rocketjob")
        return result

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Group what the thread does in the block; a block within a block joins it."""
        connection = self._acquire(writes=True)
        try:
            with self._joined(connection) if connection.depth else self._alone(connection):
                yield connection
        finally:
            connection.lock.release()

    @contextmanager
    def _alone(self, connection: Connection) -> Iterator[None]:
        self._begin(connection)
        try:
            yield
            self._current_process()  # a forked child must not end its parent's transaction
            if not connection.raw.in_transaction:
                raise StoreUnavailable(
                    f"{self.location.path}: SQLite has rolled the transaction back after an error "
                    "inside it: none of it is stored"
                )
            self._translated(lambda: self._commit(connection))
        except BaseException:
            self._roll_back(connection)
            raise

    @contextmanager
    def _joined(self, connection: Connection) -> Iterator[None]:
        raw = connection.raw
        self._translated(lambda: raw.execute("SAVEPOINT rocketjob"))
        connection.depth += 1
        try:
            yield
        except BaseException:
            _undo_savepoint(connection)
            raise
        else:
            self._translated(lambda: raw.execute("RELEASE rocketjob"))
        finally:
            connection.depth -= 1

    def in_transaction(self) -> bool:
        """Return whether the calling thread is inside a transaction."""
        connection = self._connection()
        if not connection.lock.acquire(blocking=False):
            return False
        try:
            return connection.depth > 0
        finally:
            connection.lock.release()

    def _begin(self, connection: Connection) -> None:
        """Begin a write transaction, holding the lock of the process's writers."""
        if not self._process.writers.acquire(timeout=self.location.timeout):
            raise failures.locked(self.location)
        try:
            self._patiently(lambda: connection.raw.execute("BEGIN IMMEDIATE"))
        except BaseException:
            self._process.writers.release()
            raise
        connection.depth = 1
        connection.writes_before = connection.raw.total_changes
        try:
            connection.catalog.refresh()
        except BaseException:
            self._roll_back(connection)
            raise

    def _commit(self, connection: Connection) -> None:
        raw, process = connection.raw, self._process
        raw.execute("COMMIT")
        self._end(connection)
        if raw.total_changes != connection.writes_before:
            process.changes += 1
            if process.waiters:
                self._wake(process)
            self._check_written(connection)

    def _check_written(self, connection: Connection) -> None:
        """Check that what was just committed is where others find it, before it is acknowledged."""
        files = connection.files
        if files is None or files.are_written():
            return
        connection.checked = 0.0  # and nothing more is written
        if (found := files.trouble()) is not None:
            raise failures.unsaved(found)

    def _roll_back(self, connection: Connection) -> None:
        if connection.depth == 0 or connection.pid != os.getpid():
            return  # only a parent may end its transaction
        connection.catalog.forget()
        try:
            if connection.raw.in_transaction:
                connection.raw.execute("ROLLBACK")
        finally:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        connection.depth = 0
        self._process.writers.release()

    # Trouble

    def _ours(self, error: sqlite3.Error) -> RocketJobError:
        """Return our error for one of SQLite's."""
        if failures.is_read_only(error) and not self.location.in_memory:
            # A connection that was opened meanwhile stays so for as long as it lives.
            self._process.generation += 1
        return failures.translate(error, self.location)

    def _translated(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except sqlite3.Error as error:
            raise self._ours(error) from error

    def _patiently(self, work: Callable[[], Result]) -> Result:
        """Do the work, retrying while another connection is in the way."""
        begin = 0.0
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if not failures.is_busy(error):
                    raise self._ours(error) from error
                now = time.monotonic()
                begin = begin or now
                if now - begin >= self.location.timeout:
                    raise failures.locked(self.location) from error
            wait = SHORT_WAIT if now - begin < PATIENCE else LONG_WAIT
            time.sleep(wait * random.uniform(0.5, 1.5))

    # Changes

    def mark(self) -> Any:
        """Return a value that changes with every commit of a change."""
        process = self._current_process()
        if self.location.in_memory:
            return process.changes
        sql = "PRAGMA data_version"
        while True:
            watcher = self._watcher(process)
            with watcher.lock:
                if not watcher.closed:  # such as by a fork
                    version = self._patiently(lambda: watcher.raw.execute(sql).fetchone()[0])  # noqa: B023 (called at once)
                    return watcher.serial, version

    def _watcher(self, process: _Process) -> Connection:
        """Return the read-only connection: `data_version` ignores a connection's own writes."""
        watcher = process.watcher
        if watcher is not None and watcher.is_of(process.generation):
            self._check_files(watcher)
            return watcher
        with process.lock:
            watcher = process.watcher
            if watcher is None or not watcher.is_of(process.generation):
                generation = process.generation
                watcher = self._open_file(process, generation)
                process.watchers += 1
                watcher.serial = process.watchers
                self._hang_bell(process, watcher)
                process.watcher = watcher  # the previous one closes itself when it is unused
        return watcher

    def _hang_bell(self, process: _Process, watcher: Connection) -> None:
        """Let the kernel report writes to the log, which exists once the database was read."""
        with suppress(OSError), watcher.lock:
            process.bell = process.bell or Bell()
            if not watcher.closed:
                self._patiently(lambda: watcher.raw.execute("PRAGMA data_version").fetchone())
            if not process.bell.watch(beside(self.location.path, LOG)):
                process.bell = None

    def wait(self, mark: Any, timeout: float, interrupt: Interrupt | None) -> bool:
        """Wait until `mark` is outdated; see `Store.wait_for_change`."""
        process = self._current_process()
        deadline = time.monotonic() + timeout
        waiter = RungWaiter(process.bell) if process.bell else PollingWaiter()
        process.waiters.append(waiter)
        try:
            with interrupt.calling(waiter.wake) if interrupt else nullcontext():
                while self.mark() == mark:
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or (interrupt is not None and interrupt.is_set()):
                        return False
                    if waiter.wait(remaining):
                        self._wake(process)
            return True
        finally:
            process.waiters.remove(waiter)

    def _wake(self, process: _Process) -> None:
        for waiter in list(process.waiters):
            waiter.wake()


def _undo_savepoint(connection: Connection) -> None:
    connection.catalog.forget()
    if connection.raw.in_transaction:
        connection.raw.execute("ROLLBACK TO rocketjob")
        connection.raw.execute("RELEASE rocketjob")
