"""One event loop a process, in a thread of its own, for `async def perform`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable
from typing import Any

_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()


def loop() -> asyncio.AbstractEventLoop:
    """Return the process's loop, started when it is first needed."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="rocketjob-async", daemon=True).start()
        return _loop


def run(awaitable: Awaitable[Any]) -> Any:
    """Run an awaitable on the loop and wait for what it returns."""
    return asyncio.run_coroutine_threadsafe(_await(awaitable), loop()).result()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def close() -> None:
    """Stop the loop; it is started again when needed."""
    global _loop
    with _lock:
        if _loop is not None:
            _loop.call_soon_threadsafe(_loop.stop)
            while _loop.is_running():
                threading.Event().wait(0.001)
            _loop.close()
            _loop = None


def _after_fork() -> None:
    global _loop, _lock
    _loop, _lock = None, threading.Lock()  # the thread was not forked


os.register_at_fork(after_in_child=_after_fork)
