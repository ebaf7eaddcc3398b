"""Translate SQLite's errors into ours, each with the file and what to do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Final

from rocketjob.base.errors import RocketJobError, StoreError, StoreUnavailable
from rocketjob.base.text import megabytes

from .location import INDEX, LOG, Location, beside


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code, or 0 if there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: BaseException) -> bool:
    """Return whether another connection is in the way at the moment."""
    return code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_stale(error: BaseException) -> bool:
    """Return whether a statement was prepared for a table that no longer exists."""
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith(
        ("no such table", "no such column", "no such index")
    )


def translate(error: sqlite3.Error, location: Location) -> RocketJobError:
    """Return our error for one of SQLite's."""
    entry = _KNOWN.get(code_of(error))
    if entry is None:
        return StoreError(f"SQLite refused an operation on {location.path}: {error}")
    kind, cure = entry
    return kind(f"{location.path}: {error}. {cure(location)}")


def locked(location: Location) -> StoreUnavailable:
    """Return the error of a writer that has waited too long."""
    who = "thread of this process" if location.in_memory else "process or thread"
    return StoreUnavailable(
        f"{location.path} was locked for {location.timeout:g} s by another {who}: end whatever "
        "holds a transaction open there, or raise the limit with ?timeout=SECONDS in the URL"
    )


def deleted(location: Location) -> StoreUnavailable:
    """Return the error for a file that disappeared while it was open."""
    return StoreUnavailable(
        f"{location.path} was deleted or moved away while it was in use: put it back, or restart "
        "to begin with an empty store. Nothing is written until then"
    )


def replaced(location: Location) -> StoreUnavailable:
    """Return the error for a file that is another one than was opened."""
    return StoreUnavailable(
        f"{location.path} was replaced by another file while it was in use: put the earlier one "
        "back, and work goes on. To work with the new one, end every process that uses the store, "
        f"delete {_log_files(location)} if they belong to the earlier one, "
        "and start again. Nothing is written until then"
    )


def parted(location: Location, path: str) -> StoreUnavailable:
    """Return the error for a log that is no longer beside its database."""
    return StoreUnavailable(
        f"{path} was deleted, moved away or replaced while {location.path} was in use, and may "
        "hold the last changes: put it back, and work goes on. If it is gone, end every process "
        "that uses the store, one after the other, and start again; the last one to end saves what "
        "it has. Nothing is written until then"
    )


def in_foreign_use(location: Location, users: list[str]) -> StoreUnavailable:
    """Return the error for a file whose log is in use by those who have another file open."""
    return StoreUnavailable(
        f"{location.path} or its log was replaced while it was in use: {', '.join(users)} use "
        f"{beside(location.path, INDEX)} with other files. Together they would damage this one, so "
        "it is not opened. Put the earlier files back; or end those processes, and delete "
        f"{_log_files(location)} if they belong to the earlier file"
    )


def unsaved(trouble: StoreUnavailable) -> StoreUnavailable:
    """Return the error for a change that was made while its file was taken away."""
    return StoreUnavailable(
        f"A change was made just as this happened, and is only in the files that were there "
        f"before: {trouble}"
    )


def left(location: Location, path: str) -> StoreUnavailable:
    """Return the error for a log without its database, where a new one would be made."""
    return StoreUnavailable(
        f"{location.path} does not exist, but {path} does, which belongs to a store and may hold "
        "its last changes: put the store's file back beside it. To begin with an empty store, end "
        f"every process that uses the old one, and delete {_log_files(location)}"
    )


def _log_files(location: Location) -> str:
    return f"{beside(location.path, LOG)} and {beside(location.path, INDEX)}"


def missing(location: Location) -> StoreUnavailable:
    """Return the error for a file that is not there, and that nobody is to make."""
    folder = os.path.dirname(location.path)
    if not os.path.isdir(folder):
        return StoreUnavailable(
            f"There is no store: {location.path} does not exist. Is the path right, and the disk "
            f"mounted? To have a store made there, create the folder {folder} first"
        )
    return StoreUnavailable(
        f"There is no store: {location.path} does not exist. Are the path and the directory right, "
        "and the disk mounted? rocketjob enqueue and rocketjob server make a store, not what only "
        "looks; nothing does where the setting create_store is off"
    )


def cannot_open(location: Location) -> StoreUnavailable | StoreError:
    """Return the error for a file that cannot be opened, with the reason."""
    path = location.path
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        return StoreError(
            f"{path} is a directory: the URL must name a file, such as {path}/jobs.db"
        )
    if not os.path.isdir(folder):
        return StoreUnavailable(f"{path} cannot be opened: create the folder {folder} first")
    if not os.path.exists(path) and not os.access(folder, os.W_OK):
        return StoreUnavailable(f"{path} cannot be created: the folder {folder} is read-only here")
    if kept := not_writable(location):
        return StoreUnavailable(kept)
    return StoreUnavailable(
        f"{path} cannot be opened: this process needs to read and write the file and its folder "
        "(SQLite keeps -wal and -shm files beside it)"
    )


def not_writable(location: Location) -> str:
    """Return which of the store's files this process cannot write, and its owner; "" if none."""
    log, index = beside(location.path, LOG), beside(location.path, INDEX)
    for path in (location.path, log, index, os.path.dirname(log)):
        if os.path.exists(path) and not os.access(path, os.W_OK, effective_ids=_EFFECTIVE):
            return (
                f"{path} cannot be written: it belongs to {_owner(path)}, and this process runs as "
                f"{_name(os.geteuid())}. Give it write permission (chown, chmod), or run all "
                "processes of the store as one user"
            )
    return ""


def _owner(path: str) -> str:
    try:
        return _name(os.stat(path).st_uid)
    except OSError:  # it is gone this moment
        return "nobody any more"


def _name(uid: int) -> str:
    import pwd  # not on every system, and for start-up time

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def is_read_only(error: BaseException) -> bool:
    """Return whether the connection cannot write, or could not when it was opened."""
    return code_of(error) == sqlite3.SQLITE_READONLY


def is_full(error: BaseException | None) -> bool:
    """Return whether a disk has no room left."""
    return error is not None and code_of(error) == sqlite3.SQLITE_FULL


def no_room(location: Location, needed: int, temporary: str) -> StoreUnavailable:
    """Return the error for a file that cannot be rewritten, because that takes room itself."""
    return StoreUnavailable(
        f"{location.path} cannot be made smaller: meanwhile that takes about "
        f"{megabytes(needed)} in {os.path.dirname(location.path)} and as much in {temporary}, "
        "and one of them has less. Nothing was changed. Free some space there, or name another "
        "folder for temporary files in the environment variable SQLITE_TMPDIR"
    )


def _full(location: Location) -> str:
    return "Free some space on that disk, then work can continue; what was committed is safe"


def _corrupt(location: Location) -> str:
    return (
        "The file is damaged: stop every process that uses it, and restore a backup, or save what "
        "can be read: see The store is damaged in the documentation's runbook"
    )


def _foreign(location: Location) -> str:
    return "It is not a database: choose another file name for the store"


def _read_only(location: Location) -> str:
    return not_writable(location) or (
        "The file or its folder is read-only here: give this process write permission"
    )


def _input_output(location: Location) -> str:
    return "The operating system failed to read or write it: check the disk and its free space"


def _unreachable(location: Location) -> str:
    return str(cannot_open(location))


def _memory(location: Location) -> str:
    return "There is not enough memory"


_EFFECTIVE: Final = os.access in os.supports_effective_ids
_Kind = type[StoreError]
_KNOWN: Final[dict[int, tuple[_Kind, Callable[[Location], str]]]] = {
    sqlite3.SQLITE_FULL: (StoreUnavailable, _full),
    sqlite3.SQLITE_CORRUPT: (StoreError, _corrupt),
    sqlite3.SQLITE_NOTADB: (StoreError, _foreign),
    sqlite3.SQLITE_READONLY: (StoreUnavailable, _read_only),  # perhaps for a while
    sqlite3.SQLITE_PERM: (StoreUnavailable, _read_only),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, _input_output),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailable, _unreachable),
    sqlite3.SQLITE_NOMEM: (StoreUnavailable, _memory),
}
