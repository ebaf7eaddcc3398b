"""Which processes read a store at the moment: Linux tells who holds which lock on a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from .files import INDEX

READING: Final = range(123, 128)  # bytes of the log's index that readers lock
LONGEST: Final = 60  # characters of a command line


def readers(path: str) -> list[str] | None:
    """Name the other processes that read the store now; None where that cannot be known."""
    try:
        inode = os.stat(path + INDEX).st_ino
        with open("/proc/locks", encoding="ascii") as locks:
            held = list(_held(locks, inode))
    except OSError:
        return None
    pids = {pid for pid, first, last in held if first <= READING[-1] and last >= READING[0]}
    return [_named(pid) for pid in sorted(pids - {os.getpid()})]


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
