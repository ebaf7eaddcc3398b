"""The space of a store on disk: free pages are given back, and the log is kept short.

SQLite uses the pages of what was deleted again, but a file never shrinks by itself. In a file with
`auto_vacuum=INCREMENTAL` the last pages can be moved to free ones a few at a time, in transactions
of milliseconds. A file of an earlier version has to be rewritten once, by `VACUUM`.

The log is merged into the file whenever it has 2,000 pages. As long as somebody reads an old state
that does not get to its end, so the log grows. Readers that follow each other closely keep it from
beginning again at its start, though each of them is short; only waiting for them helps.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from rocketjob.base.errors import StoreUnavailable
from rocketjob.base.text import megabytes
from rocketjob.store.upkeep import Space

from . import failures, holders
from .connection import WAL_BYTES_KEPT
from .database import Database
from .location import LOG, Location, beside

LARGE_LOG: Final = WAL_BYTES_KEPT // 2
FREE_KEPT: Final = 16_000_000  # for what is stored next
FREE_SHARE: Final = 4  # a file shrinks by itself if more than one part in so many is free
STEP_PAGES: Final = 256  # in one transaction: a few milliseconds
STEPS: Final = 8  # at one look: 8 MB every few seconds
PAUSE: Final = 100  # milliseconds for which writers may have to wait for readers
INCREMENTAL: Final = 2
INTERRUPT_EVERY: Final = 100_000  # of SQLite's instructions: about a millisecond


def measure(database: Database) -> Space:
    """Return what the store takes on disk."""
    pages, free, page_size, mode = database.read(lambda connection: _pages(connection.raw))
    log = size_of(beside(database.location.path, LOG))
    total = size_of(database.location.path) + log
    used = (pages - free) * page_size
    return Space(total, used, free * page_size, log, mode == INCREMENTAL)


def is_wasteful(space: Space) -> bool:
    """Return whether so much is free that some of it should be given back."""
    total = space.used_bytes + space.free_bytes
    return space.free_bytes > max(FREE_KEPT, total // FREE_SHARE)


def warnings(space: Space, path: str) -> list[tuple[str, str]]:
    """Return what needs attention, each with what to do about it."""
    found = []
    if is_wasteful(space) and not space.in_steps:
        found.append(
            (
                f"{megabytes(space.free_bytes)} of {path} are free, and it does not shrink by "
                "itself, because an earlier version made it",
                "stop the servers, and run: rocketjob store compact",
            )
        )
    if space.log_bytes > WAL_BYTES_KEPT:
        found.append(_large_log(space, path))
    return found


def _large_log(space: Space, path: str) -> tuple[str, str]:
    message = f"{beside(path, LOG)} has grown to {megabytes(space.log_bytes)}"
    readers = holders.readers(path)
    if readers:
        return (
            f"{message}: it cannot be merged into the store while somebody reads an old state. "
            f"At the moment {', '.join(readers)} read it",
            "end what reads for a long time, such as a sqlite3 shell within a transaction",
        )
    return (
        f"{message}, which happens while somebody reads an old state for a long time"
        + ("" if readers is None else "; nobody does at the moment"),
        "a running server merges it within seconds; without one run: rocketjob store compact",
    )


def size_of(path: str) -> int:
    """Return the size of a file, 0 if there is none."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def tidy(database: Database) -> None:
    """Shorten a log that has grown, and give back some of what is free, if that is much."""
    space = measure(database)
    if space.log_bytes > LARGE_LOG and not database.maintain(lambda raw: _shorten_log(raw, PAUSE)):
        return  # somebody reads an old state: what is moved now would make it grow more
    has_given = False
    for _ in range(STEPS):
        if not (space.in_steps and is_wasteful(space)):
            break
        if not database.maintain(lambda raw: _give_back(raw, PAUSE)):
            return  # others are writing: next time
        has_given, space = True, measure(database)
    if has_given and not is_wasteful(space):
        database.maintain(lambda raw: _shorten_log(raw, PAUSE))  # by which the file gets smaller


def compact_in_steps(database: Database) -> Iterator[Space]:
    """Give back all that is free, a few pages at a time."""
    patience = int(database.location.timeout * 1000)
    while (space := measure(database)).free_bytes:
        if not database.maintain(lambda raw: _give_back(raw, patience)):
            raise failures.locked(database.location)
        yield space
    yield _with_short_log(database)


def rewrite(database: Database) -> Iterator[Space]:
    """Rewrite the whole file without its free space; the next time it can be done in steps."""
    space = measure(database)
    _check_room(database.location, space.used_bytes)
    yield space
    try:
        database.maintain(_vacuum)
    except StoreUnavailable as error:
        if failures.is_full(error.__cause__):
            raise failures.no_room(
                database.location, space.used_bytes, temporary_folder()
            ) from error
        raise
    yield _with_short_log(database)


def temporary_folder() -> str:
    """Return the folder where SQLite writes its temporary files."""
    named = [os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR")]
    for folder in (*named, "/var/tmp", "/usr/tmp", "/tmp"):
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return os.curdir


def _pages(raw: sqlite3.Connection) -> list[int]:
    # The first one reads the file, by which the connection learns whether another one rewrote it.
    names = ("page_count", "freelist_count", "page_size", "auto_vacuum")
    return [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


def _check_room(location: Location, needed: int) -> None:
    """Check that the log and a temporary file have room, each as large as the file will be."""
    folder, temporary = os.path.dirname(beside(location.path, LOG)), temporary_folder()
    is_one_disk = os.stat(folder).st_dev == os.stat(temporary).st_dev
    for place, bytes in ((folder, needed * (1 + is_one_disk)), (temporary, needed)):
        if shutil.disk_usage(place).free < bytes:
            raise failures.no_room(location, needed, temporary)


def _vacuum(raw: sqlite3.Connection) -> None:
    raw.set_progress_handler(_answer_signals, INTERRUPT_EVERY)
    try:
        raw.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        raw.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if failures.code_of(error) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        raise
    finally:
        raw.set_progress_handler(None, 0)


def _answer_signals() -> None:
    """Do nothing: Python answers a signal, such as Ctrl-C, when it runs any code."""


def _give_back(raw: sqlite3.Connection, wait: int) -> bool:
    """Give back some pages; return whether others let it."""
    # `execute` would stop after one page, because this statement returns rows without columns.
    script = f"PRAGMA incremental_vacuum({STEP_PAGES})"
    return _waiting(raw, wait, lambda: raw.executescript(script)) is not None


def _shorten_log(raw: sqlite3.Connection, wait: int) -> bool:
    """Merge the log into the file and empty it; return whether others let it."""
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # most of it, while others write
    sql = "PRAGMA wal_checkpoint(TRUNCATE)"
    row = _waiting(raw, wait, lambda: raw.execute(sql).fetchone())
    return row is not None and row[0] == 0


def _waiting(raw: sqlite3.Connection, wait: int, work: Any) -> Any:
    """Return what `work` returns, if the locks can be had within so many milliseconds, or None."""
    raw.execute(f"PRAGMA busy_timeout = {wait}")
    try:
        return work()
    except sqlite3.OperationalError as error:
        if not failures.is_busy(error):
            raise
        return None
    finally:
        raw.execute("PRAGMA busy_timeout = 0")


def _with_short_log(database: Database) -> Space:
    database.maintain(lambda raw: _shorten_log(raw, int(database.location.timeout * 1000)))
    return measure(database)
