"""Calls that wait, made on threads, so that the event loop of whoever asks goes on meanwhile."""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 8  # each may have a connection to the store; what waits for long has none of them
_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


async def off_loop(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function of RocketJob's that waits for the store, and let the event loop go on.

        job = await rocketjob.off_loop(job.abort, reason="asked for by ann")

    It is called on one of eight threads, in a copy of the caller's context. Where the caller is
    cancelled the call goes on, and what it writes is written.

    Raises:
        Exception: what the function raised.
        RuntimeError: it raised a StopIteration, which no coroutine can.
    """
    import asyncio  # for start-up time

    copied = contextvars.copy_context()
    call = functools.partial(copied.run, _called, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads(), call)


def _called(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return function(*args, **kwargs)
    except StopIteration as ended:  # whoever awaits its future would do so for ever
        raise RuntimeError(f"{function!r} raised StopIteration") from ended


def _threads() -> ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            from concurrent.futures import ThreadPoolExecutor  # for start-up time

            _executor = ThreadPoolExecutor(THREADS, thread_name_prefix="rocketjob-off-loop")
        return _executor


def _after_fork() -> None:
    global _executor, _lock
    _executor, _lock = None, threading.Lock()  # the threads were not forked


os.register_at_fork(after_in_child=_after_fork)
