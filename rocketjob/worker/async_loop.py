"""One event loop a process, in a thread of its own, for `async def perform`."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable
from typing import Any

from rocketjob.base.log import Logger

log = Logger("rocketjob.async_loop")
CLOSE_SECONDS = 5.0  # a task that blocks the loop must not hold the process

_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()


def loop() -> asyncio.AbstractEventLoop:
    """Return the process's loop, started when it is first needed."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(
                target=_run_for_ever, args=(_loop,), name="rocketjob-async", daemon=True
            ).start()
        return _loop


def _run_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return loop.run_forever()
        except BaseException:
            # asyncio lets the SystemExit of a task through: the jobs of others go on all the same.
            log.exception("a task ended with an error that is not its job's")


def run(awaitable: Awaitable[Any]) -> Any:
    """Run an awaitable on the loop and wait for what it returns."""
    value, error = asyncio.run_coroutine_threadsafe(_await(awaitable), loop()).result()
    if error is not None:
        raise error
    return value


async def _await(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    try:
        return await awaitable, None
    except BaseException as error:
        return None, error  # a SystemExit that left this task would end the loop


def close() -> None:
    """Stop the loop; it is started again when needed."""
    global _loop
    with _lock:
        if _loop is None:
            return
        closing, _loop = _loop, None
    closing.call_soon_threadsafe(_cancel_all, closing)
    deadline = time.monotonic() + CLOSE_SECONDS
    while closing.is_running() and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    if not closing.is_running():
        closing.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """End the tasks that jobs have left behind, then the loop."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    ended = asyncio.gather(*tasks, return_exceptions=True) if tasks else None
    if ended is None:
        loop.stop()
    else:
        ended.add_done_callback(lambda _: loop.stop())


def _after_fork() -> None:
    global _loop, _lock
    _loop, _lock = None, threading.Lock()  # the thread was not forked


os.register_at_fork(after_in_child=_after_fork)
