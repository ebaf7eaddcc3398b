"""Says so when a job blocks the event loop, on which all async jobs of its process run.

While async jobs are under way a thread asks the loop four times a second whether it still turns.
Where the job that blocks it is past its timeout, and was failed in the store, it ends the process:
all others would wait for as long as that one goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from rocketjob.base import clock
from rocketjob.base.log import Logger
from rocketjob.base.tracebacks import is_ours
from rocketjob.jobs.origin import PERFORMED
from rocketjob.worker import async_loop
from rocketjob.worker.limits import Limits

log = Logger("rocketjob.async_loop")

LOOK_SECONDS = 0.25
BLOCKED_SECONDS = 0.5  # without a turn of the loop: then all others have noticed it
WAIT_SECONDS = 1.0  # between two looks whether it goes on


class LoopWatch:
    """Watches the loop for one pool.

    Args:
        is_needed: whether jobs are under way.
        limits: of those jobs.
    """

    def __init__(self, is_needed: Callable[[], bool], limits: Limits) -> None:
        self._is_needed, self._limits = is_needed, limits
        self._lock = threading.Lock()
        self._is_looking = False

    def look(self) -> None:
        """Begin to watch, if that is not done already."""
        if self._is_looking:
            return
        with self._lock:
            if not self._is_looking:
                self._is_looking = True
                threading.Thread(target=self._run, name="async loop watch", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._is_needed():
                    self._is_looking = False
                    return
            try:
                self._ask()
            except RuntimeError:  # the loop was closed meanwhile
                continue
            threading.Event().wait(LOOK_SECONDS)

    def _ask(self) -> None:
        """Ask the loop, and warn if it does not answer; then wait until it does."""
        answered, asked = threading.Event(), clock.monotonic()
        async_loop.loop().call_soon_threadsafe(answered.set)
        if answered.wait(BLOCKED_SECONDS):
            return
        frames = _frames_of(async_loop.thread())
        job, at = _job_in(frames), _place_in(frames)
        if answered.is_set():
            return  # it was just about to
        logger = log if job is None else job.logger
        logger.warning(
            "the event loop is blocked: all async jobs of this process wait",
            seconds=round(clock.monotonic() - asked, 1),
            at=at,
        )
        while not answered.wait(WAIT_SECONDS):
            if not async_loop.thread().is_alive():
                return
            self._end_if_given_up(answered)
        logger.warning(
            "the event loop goes on", blocked_seconds=round(clock.monotonic() - asked, 1), at=at
        )

    def _end_if_given_up(self, answered: threading.Event) -> None:
        """End the process if a job blocks the loop that is past its timeout, perhaps for ever."""
        job = _job_in(_frames_of(async_loop.thread()))
        if job is not None:
            why = f"{job!r} blocks the event loop, and is past its timeout"
            self._limits.end_since(
                why, lambda: self._limits.has_given_up(job) and not answered.is_set()
            )


def _frames_of(thread: threading.Thread) -> list[FrameType]:
    frame = sys._current_frames().get(thread.ident or 0)
    return [] if frame is None else [each for each, _ in traceback.walk_stack(frame)]


def running_of(job: Any) -> list[FrameType]:
    """Return the frames of what the loop runs just now, outermost first, if that is of a job."""
    frames = _frames_of(async_loop.thread())
    if job is None or _job_in(frames) is not job:
        return []
    return frames[: [each.f_code for each in frames].index(_step_of_loop())][::-1]


def _job_in(frames: list[FrameType]) -> Any:
    """Return the job of which the loop runs something just now: it is in the context of that."""
    step = _step_of_loop()
    for frame in frames:
        if frame.f_code is step:
            context = getattr(frame.f_locals.get("self"), "_context", None)
            return None if context is None else context.get(PERFORMED)
    return None


def _step_of_loop() -> CodeType:
    import asyncio  # for start-up time

    return asyncio.Handle._run.__code__


def _place_in(frames: list[FrameType]) -> str:
    """Return the line at which it is: the innermost one of the app, if there is one."""
    frame = next(_of_app(frames), frames[0] if frames else None)
    if frame is None:
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _of_app(frames: list[FrameType]) -> Iterator[FrameType]:
    """Yield the frames, innermost first, that are neither ours nor of a library."""
    library = os.__file__.rpartition("os.py")[0]
    for frame in frames:
        name = frame.f_code.co_filename
        if not (name.startswith((library, "<")) or "site-packages" in name or is_ours(frame)):
            yield frame
