"""Reading, writing and transactions, whatever the documents.

Reads and writes are functions of a `Connection`, because they may have to be repeated: when another
process holds the lock for a moment, or has dropped the table of a prepared statement.

Writers of one process queue on the process's own lock, so that only one per process competes for
the file. It retries about every half millisecond: SQLite's own waiting backs off to 100 ms, and
then one of four processes that wrote all the time got 33 of 5000 jobs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from rocketjob.base.errors import StoreError, StoreUnavailable

from . import failures
from .changes import Changes
from .connection import Connection, open_connection
from .connections import Connections
from .forks import gate
from .location import MEMORY, Location

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

NOTHING: Final = Location("sqlite://:memory:", MEMORY, "NORMAL", 30.0)


class Database:
    """One database file (or memory), shared by the threads of a process."""

    def __init__(self, location: Location, *, create: bool = True) -> None:
        self.location = location
        self.connections = Connections(location, create=create)
        self.changes = Changes(self.connections)

    # Reading and writing

    def read(self, work: Work[Result]) -> Result:
        """Return `work(connection)`, on a state that is no older than this call."""
        if self.connections.is_to_be_made():
            return self._read_nothing(work)
        connection = self.connections.acquire()
        try:
            if connection.depth:
                return self.connections.translated(lambda: work(connection))
            return self.connections.patiently(lambda: self._read(connection, work))
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
        connection = self.connections.acquire(writes=True)
        try:
            if connection.depth:
                return self.connections.translated(lambda: self._within(connection, work))
            self._begin(connection)
            try:
                result = work(connection)
                self._commit(connection)
            except BaseException as error:
                self._roll_back(connection)
                if isinstance(error, sqlite3.Error):
                    raise self.connections.ours(error) from error
                raise
            return result
        finally:
            connection.lock.release()

    def maintain(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return `work(raw)`, which begins transactions of its own: it is not within one."""
        connection = self.connections.acquire(writes=True)
        try:
            if connection.depth:
                raise StoreError(f"{self.location.path} cannot be maintained within a transaction")
            result = self.connections.patiently(lambda: work(connection.raw))
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
        connection = self.connections.acquire(writes=True)
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
            # a forked child must not end its parent's transaction
            self.connections.current_process()
            if not connection.raw.in_transaction:
                raise StoreUnavailable(
                    f"{self.location.path}: SQLite has rolled the transaction back after an error "
                    "inside it: none of it is stored"
                )
            self.connections.translated(lambda: self._commit(connection))
        except BaseException:
            self._roll_back(connection)
            raise

    @contextmanager
    def _joined(self, connection: Connection) -> Iterator[None]:
        raw = connection.raw
        self.connections.translated(lambda: raw.execute("SAVEPOINT rocketjob"))
        connection.depth += 1
        try:
            yield
        except BaseException:
            _undo_savepoint(connection)
            raise
        else:
            self.connections.translated(lambda: raw.execute("RELEASE rocketjob"))
        finally:
            connection.depth -= 1

    def in_transaction(self) -> bool:
        """Return whether the calling thread is inside a transaction."""
        connection = self.connections.current()
        if not connection.lock.acquire(blocking=False):
            return False
        try:
            return connection.depth > 0
        finally:
            connection.lock.release()

    def _begin(self, connection: Connection) -> None:
        """Begin a write transaction, holding the lock of the process's writers."""
        if not self.connections.process.writers.acquire(timeout=self.location.timeout):
            raise failures.locked(self.location)
        try:
            self.connections.patiently(lambda: connection.raw.execute("BEGIN IMMEDIATE"))
        except BaseException:
            self.connections.process.writers.release()
            raise
        connection.depth = 1
        connection.writes_before = connection.raw.total_changes
        try:
            connection.catalog.refresh()
        except BaseException:
            self._roll_back(connection)
            raise

    def _commit(self, connection: Connection) -> None:
        raw, process = connection.raw, self.connections.process
        raw.execute("COMMIT")
        self._end(connection)
        if raw.total_changes != connection.writes_before:
            process.changes += 1
            if process.waiters:
                process.wake()
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
        self.connections.process.writers.release()


def _undo_savepoint(connection: Connection) -> None:
    connection.catalog.forget()
    if connection.raw.in_transaction:
        connection.raw.execute("ROLLBACK TO rocketjob")
        connection.raw.execute("RELEASE rocketjob")
