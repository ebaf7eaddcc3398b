"""Whether all processes of a server of this machine have ended: its work is free at once.

That a supervisor has ended says little: its worker processes finish what they had begun. So they
are looked for too, by what they are called with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from rocketjob.server.server import Server

PROCESSES = "/proc"
CHILD = "rocketjob.child"  # begins the last but one argument of a worker process, before its name


def has_ended(server: Server) -> bool:
    """Return whether a server is seen to have ended, with all its worker processes.

    No where that cannot be seen: on another machine or in another container, where there is no
    `/proc`, and where that hides the processes of others.
    """
    return server.is_gone() and not _may_have_workers(server)


def _may_have_workers(server: Server) -> bool:
    marks = (f"{server.incarnation}.".encode(), f"{CHILD} {server.name}:".encode())
    try:
        return any(word.startswith(marks) for word in _words())
    except OSError:
        return True


def _words() -> Iterator[bytes]:
    """Yield what the processes of this machine are called with.

    Raises:
        OSError: that cannot be seen of all of them.
    """
    numbers = [name for name in os.listdir(PROCESSES) if name.isdigit()]
    if "1" not in numbers:
        raise PermissionError("the processes of others are hidden")
    for number in numbers:
        try:
            with open(f"{PROCESSES}/{number}/cmdline", "rb") as file:
                yield from file.read().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended this moment
