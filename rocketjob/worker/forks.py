"""A process that a job has forked is not a worker, and must not carry on as one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from rocketjob.base.log import Logger

log = Logger("rocketjob.worker")


@contextmanager
def ending_here() -> Iterator[None]:
    """End a process that was forked within the block and comes to the end of it."""
    parent = os.getpid()
    code = 0
    try:
        yield
    except BaseException as error:
        if os.getpid() == parent:
            raise
        code = _code_of(error)
    if os.getpid() != parent:
        _end(code)


def _code_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    log.exception("a process that a job has forked failed")
    return 1


def _end(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)
