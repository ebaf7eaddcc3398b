"""Standard streams that were closed when this process was started, as by `>&-`.

The next file that is opened would get the number of the missing one: what a job or a library prints
would be written into the store or the log.
"""

from __future__ import annotations

import os
import sys
from typing import Final

STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def reopen_closed() -> None:
    """Put nothing, `/dev/null`, where a standard stream is closed, here and for processes to come.

    To be called first of all: before anything opens a file.
    """
    for number, (name, mode) in enumerate(STREAMS):
        if not _is_open(number):
            _open_nothing(number)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 (it stays)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _open_nothing(number: int) -> None:
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor == number:
        os.set_inheritable(number, True)
        return
    os.dup2(descriptor, number)
    os.close(descriptor)
