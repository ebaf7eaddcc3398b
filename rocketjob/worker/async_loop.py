"""One event loop a process, in a thread of its own, for `async def perform`.

`asyncio` is imported within functions, for start-up time and memory: most processes need no loop.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rocketjob.base.errors import (
    Discard,
    RocketJobError,
    ServerStopping,
    Snooze,
    UnsupportedOperation,
)
from rocketjob.base.log import Logger
from rocketjob.jobs.performance import Performance
from rocketjob.worker.contexts import take_over
from rocketjob.worker.forks import EndingHere, end_here

if TYPE_CHECKING:
    import asyncio

log = Logger("rocketjob.async_loop")
CLOSE_SECONDS = 5.0  # a task that blocks the loop must not hold the process

_loop: asyncio.AbstractEventLoop | None = None
_thread = threading.main_thread()  # until there is a loop
_lock = threading.Lock()


def loop() -> asyncio.AbstractEventLoop:
    """Return the process's loop, started when it is first needed."""
    import asyncio  # for start-up time

    global _loop, _thread
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(
                target=_run_for_ever, args=(_loop,), name="rocketjob-async", daemon=True
            )
            _thread.start()
        return _loop


def thread() -> threading.Thread:
    """Return the thread on which the loop was last started."""
    return _thread


def _run_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException:
            # asyncio lets the SystemExit of a task through: the jobs of others go on all the same.
            log.exception("a task ended with an error that is not its job's")
        else:
            if loop is not _loop:
                return
            log.warning("a job has stopped the event loop: it goes on for the others")


def check_caller() -> None:
    """See to it that the caller may wait for the loop.

    Raises:
        UnsupportedOperation: it runs on the loop itself, and would wait for ever.
    """
    import asyncio  # for start-up time

    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is _loop:
        raise UnsupportedOperation(
            "An async job cannot be performed by a plain call within another one: it would hold "
            "the event loop that it needs. Write: await asyncio.to_thread(job.perform_now)"
        )


def run(awaitable: Awaitable[Any], performance: Performance) -> Any:
    """Run an awaitable on the loop and wait for what it returns.

    What it sets of the caller's context is set there afterwards. It is cancelled if the performance
    is asked to end, or its time is up; but not when the server stops, which is no hurry.

    Raises:
        UnsupportedOperation: the caller runs on the loop itself.
        RocketJobError: what the performance was asked to end with.
    """
    import asyncio  # for start-up time

    try:
        check_caller()
    except BaseException:
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise
    future = asyncio.run_coroutine_threadsafe(ended(awaitable, performance), loop())
    try:
        outcome = future.result(performance.left())
    except TimeoutError:  # the coroutine's own is returned
        performance.ask_for_time()
        outcome = future.result()
    take_over(outcome.context)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


class Outcome(NamedTuple):
    """What became of an awaitable; the context has what it set."""

    value: Any
    error: BaseException | None
    context: contextvars.Context


async def ended(
    awaitable: Awaitable[Any],
    performance: Performance,
    is_hurried: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Await something on the loop, cancelled as `run` says; an error is returned, not raised.

    Args:
        is_hurried: whether it was cancelled because the server stops.
    """
    import asyncio  # for start-up time

    running, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    is_cancelled = False

    def cancel(asked: RocketJobError) -> None:
        nonlocal is_cancelled
        if not isinstance(asked, ServerStopping):
            is_cancelled = True
            running.call_soon_threadsafe(task.cancel)

    try:
        with performance.interrupting(cancel), EndingHere():
            value, error = await awaitable, None
    except BaseException as raised:
        value, error = None, raised  # a SystemExit that left this task would end the loop
    if error is not None:
        error = as_asked(error, performance, is_cancelled or is_hurried())
        while task.cancelling():  # a TaskGroup cancels again as it ends (3.13): it has been heeded
            task.uncancel()
    return Outcome(value, error, contextvars.copy_context())


def as_asked(
    error: BaseException, performance: Performance, is_cancelled: bool = False
) -> BaseException:
    """Return the error with which a performance ends that was cancelled since it was asked to.

    Args:
        is_cancelled: whether it was: then what fails as it cleans up is only the cause.
    """
    import asyncio  # for start-up time

    asked = performance.asked
    if asked is None or isinstance(error, Snooze | Discard):
        return error
    if not (isinstance(error, asyncio.CancelledError) or (is_cancelled and _cleans_up(error))):
        return error
    asked.__cause__ = error  # it says where the coroutine was
    return asked.with_traceback(error.__traceback__)


def _cleans_up(error: BaseException) -> bool:
    """Return whether an error was raised as a coroutine, or a task of it, was being cancelled."""
    import asyncio  # for start-up time

    if isinstance(error, BaseExceptionGroup) and any(map(_cleans_up, error.exceptions)):
        return True
    context, seen = error.__context__, {id(error)}
    while context is not None and id(context) not in seen:
        if isinstance(context, asyncio.CancelledError):
            return True
        seen.add(id(context))
        context = context.__context__
    return False


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
    import asyncio  # for start-up time

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
    inherited, _loop = _loop, None  # its thread was not forked
    _lock = threading.Lock()
    if inherited is not None and threading.get_ident() == _thread.ident:  # a coroutine has forked
        _end_after_this_step(inherited)


def _end_after_this_step(loop: asyncio.AbstractEventLoop) -> None:
    """Have a forked process end as soon as the coroutine that forked it waits, or has ended.

    All other coroutines of the loop would go on in it, beside those of its parent.
    """
    for waiting in (getattr(loop, name, None) for name in ("_ready", "_scheduled")):
        if waiting is not None:
            waiting.clear()
    loop.call_soon(_end_forked)


def _end_forked() -> None:
    log.error("a process that an async job has forked ends: it cannot await anything")
    end_here(1)


os.register_at_fork(after_in_child=_after_fork)
