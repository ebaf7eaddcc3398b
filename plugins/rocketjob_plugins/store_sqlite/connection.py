"""One SQLite connection: open it, recognise the file as ours, and close it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from typing import Final

from rocketjob.base.errors import StoreError

from . import catalog
from .catalog import Catalog
from .failures import cannot_open, code_of
from .files import Files
from .forks import Gate, gate
from .location import MEMORY, Location

MINIMUM_SQLITE: Final = (3, 35, 0)  # RETURNING and ALTER TABLE DROP COLUMN, for those to come
CHECKPOINT_PAGES: Final = 2000
CACHE_KIBIBYTES: Final = 16_000
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
STATEMENTS: Final = 256


class Connection:
    """A connection, and what it knows about the file.

    It is used by one thread at a time, which holds `lock`. A forked child neither uses nor closes
    those of its parent: see `forks`.
    """

    def __init__(self, raw: sqlite3.Connection, files: Files | None, generation: int) -> None:
        self.raw = raw
        self.files = files  # None: in memory
        self.generation = generation
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.depth = 0  # of transactions
        self.catalog = Catalog(raw)
        self.checked = 0.0  # when the files were last known to be the same
        self.writes_before = 0  # the rows written before the transaction
        self.serial = 0  # its number among the watching connections
        self.closed = False

    def is_of(self, generation: int) -> bool:
        """Return whether it is open, and not from before the store was closed or read-only."""
        return not self.closed and self.generation == generation

    def hold_snapshot(self) -> None:
        """Make what follows see one state of the file; the caller that began the read ends it."""
        if not self.raw.in_transaction:
            self.raw.execute("BEGIN")

    def end_snapshot(self) -> None:
        """See new changes again."""
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def close(self, *, getpid: Callable[[], int] = os.getpid, gate: Gate = gate) -> None:
        """Close it, unless it belongs to another process.

        Both are kept as defaults: when the interpreter ends, modules go before objects do.
        """
        if self.closed:
            return
        self.closed = True
        if self.pid == getpid():
            with gate.lock:
                self.raw.close()
        else:
            _abandon(self.raw)

    def __del__(self) -> None:
        self.close()  # when its thread ends


def _abandon(raw: sqlite3.Connection) -> None:
    """Keep a parent's connection for ever: closing it here could break the parent's locks."""
    import ctypes  # for start-up time

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(raw))


def open_connection(location: Location, generation: int) -> Connection:
    """Open the file, creating it if needed; SQLite's own errors are passed on.

    Raises:
        StoreError: it is not one of our files, or it is from a newer version.
    """
    _check_version()
    if not location.in_memory and os.path.isdir(location.path):
        raise cannot_open(location)
    raw = _connect(location)
    try:
        _recognise(raw, location)
        _configure(raw, location)
    except BaseException:
        raw.close()
        raise
    return Connection(raw, None if location.in_memory else Files(location), generation)


def _check_version() -> None:
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise StoreError(
            f"The embedded store needs SQLite 3.35 or newer, but this Python has "
            f"{sqlite3.sqlite_version}: upgrade it, or use a MongoDB store"
        )


def _connect(location: Location) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            MEMORY if location.in_memory else location.path,
            timeout=0,  # we do the waiting: see connections.py
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS,
        )
    except sqlite3.OperationalError as error:
        if code_of(error) == sqlite3.SQLITE_CANTOPEN:
            raise cannot_open(location) from error
        raise


def _recognise(raw: sqlite3.Connection, location: Location) -> None:
    application = raw.execute("PRAGMA application_id").fetchone()[0]
    if application != catalog.APPLICATION_ID:
        _adopt(raw, location)
    sql = "SELECT value FROM rocketjob_meta WHERE key = 'format_version'"
    version = raw.execute(sql).fetchone()[0]
    if version > catalog.FORMAT_VERSION:
        raise StoreError(
            f"{location.path} was written by a newer RocketJob (format {version}; this one knows "
            f"{catalog.FORMAT_VERSION}): upgrade this installation, or name another file"
        )


def _adopt(raw: sqlite3.Connection, location: Location) -> None:
    """Make an empty file ours; another process may be doing the same."""
    if raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        if not location.in_memory:
            raw.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before anything is in the file
        raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("BEGIN IMMEDIATE")
    try:
        tables = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = raw.execute("PRAGMA application_id").fetchone()[0]
        if application != catalog.APPLICATION_ID:
            if tables or application:
                raise StoreError(
                    f"{location.path} is a database of another program: choose another file name "
                    "for the store"
                )
            for statement in catalog.SCHEMA:
                raw.execute(statement)
        raw.execute("COMMIT")
    finally:
        if raw.in_transaction:
            raw.execute("ROLLBACK")


def _configure(raw: sqlite3.Connection, location: Location) -> None:
    raw.execute(f"PRAGMA synchronous = {location.synchronous}")
    raw.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    # Debian's SQLite overwrites what is deleted with zeros: a third of all writes of a batch job.
    raw.execute("PRAGMA secure_delete = FAST")
    if location.in_memory:
        return
    mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"{location.path} cannot be used with a write-ahead log, which several processes need "
            "to share it: put it on a local disk, not on a network file system"
        )
    raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    raw.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
    # Read once: the log of a file that had none, such as a restored one, is made only now.
    raw.execute("PRAGMA user_version").fetchone()
