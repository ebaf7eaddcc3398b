"""Which other processes use a store at the moment: Linux tells who holds which lock on a file.

Where it does not tell, or these processes belong to somebody else, nothing is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from .files import FileId, file_id
from .location import INDEX, LOG, beside

READING: Final = range(123, 128)  # bytes of the log's index that readers lock
USING: Final = range(128, 129)  # and the one that everybody locks who has the store open
LONGEST: Final = 60  # characters of a command line


def readers(path: str) -> list[str] | None:
    """Name the other processes that read the store now; None where that cannot be known."""
    pids = _that_lock(path, READING)
    return None if pids is None else [_named(pid) for pid in pids]


def strangers(path: str) -> list[str]:
    """Name the other processes that use the log at this path with another database.

    Whoever opens a store opens the log's index last, and closes it first. So a process that has the
    index open has the database and the log open, unless one of them was replaced meanwhile.
    """
    pids = _that_lock(path, USING) or []
    # Twice, since a process may open or close the store while it is being looked at.
    return [_named(pid) for pid in pids if _is_stranger(pid, path) and _is_stranger(pid, path)]


def _is_stranger(pid: int, path: str) -> bool:
    database, log, index = (file_id(beside(path, suffix)) for suffix in ("", LOG, INDEX))
    opened = _open_files(pid)
    return index in opened and not (database in opened and log in opened)


def _open_files(pid: int) -> set[FileId | None]:
    folder = f"/proc/{pid}/fd"
    try:
        return {file_id(f"{folder}/{name}") for name in os.listdir(folder)} - {None}
    except OSError:  # it has just ended, or is not ours to see
        return set()


def _that_lock(path: str, wanted: range) -> list[int] | None:
    """Return the other processes that lock one of these bytes; None where nobody tells."""
    try:
        inode = os.stat(beside(path, INDEX)).st_ino
        with open("/proc/locks", encoding="utf-8") as locks:
            held = list(_held(locks, inode))
    except OSError:
        return None
    pids = {pid for pid, first, last in held if first <= wanted[-1] and last >= wanted[0]}
    return sorted(pids - {os.getpid()})


def _held(locks: Iterator[str], inode: int) -> Iterator[tuple[int, int, int]]:
    """Yield process, first and last byte of the locks on a file, by its inode.

    A line: `7: POSIX  ADVISORY  READ 4711 08:01:131 124 124`; one that waits has `->` in it.
    """
    for line in locks:
        parts = line.split()
        if len(parts) == 8 and parts[1] == "POSIX" and parts[5].rpartition(":")[2] == str(inode):
            with suppress(ValueError):  # the last byte of the whole file is EOF
                yield int(parts[4]), int(parts[6]), int(parts[7])


def _named(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            command = file.read().replace("\0", " ").strip()
    except OSError:  # it has just ended, or is not ours to see
        command = ""
    return f"process {pid}" + (f" ({command[:LONGEST]})" if command else "")
