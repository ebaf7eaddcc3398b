"""A process that a job has forked is not a worker, and must not carry on as one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from rocketjob.base.log import Logger

log = Logger("rocketjob.worker")


_forks = 0  # how many there are from the first process to this one; quicker to ask than its id


def _count() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count)


class EndingHere:
    """Ends a process that was forked within the block and comes to the end of it."""

    __slots__ = ("_forks",)

    def __enter__(self) -> None:
        self._forks = _forks

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if _forks != self._forks:
            end_here(0 if error is None else _code_of(error))


def _code_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    log.exception("a process that a job has forked failed")
    return 1


def end_here(code: int) -> NoReturn:
    """End a process that was forked, without what its parent has registered for its own end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)
