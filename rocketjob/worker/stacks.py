"""The stacks of all threads of this process: where each is, and at which job."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any, Protocol

from rocketjob.base import clock

MOST_FRAMES = 100  # of one thread: the last, which say where it is


class AtWork(Protocol):
    """A worker thread, as far as is asked for here."""

    @property
    def thread(self) -> threading.Thread: ...

    @property
    def job(self) -> Any: ...

    @property
    def began(self) -> float: ...


def stacks(workers: Iterable[AtWork] = ()) -> list[dict[str, Any]]:
    """Return for each thread its `thread`, the name, and `stack`, a list of lines.

    One that performs a job has besides `job_id`, `job_class`, and `seconds`, for how long; those
    are first, the longest first of all.
    """
    frames, by_thread = sys._current_frames(), {each.thread.ident: each for each in workers}
    found = []
    for thread in threading.enumerate():
        if (frame := frames.get(thread.ident or 0)) is not None:
            lines = traceback.format_list(traceback.extract_stack(frame)[-MOST_FRAMES:])
            stack = [line.rstrip("\n") for line in lines]
            worker = by_thread.get(thread.ident)
            found.append({"thread": thread.name, **_work_of(worker), "stack": stack})
    return sorted(found, key=lambda each: -each.get("seconds", -1.0))


def _work_of(worker: AtWork | None) -> dict[str, Any]:
    job = None if worker is None else worker.job  # read once: its thread sets it
    if worker is None or job is None:
        return {}
    seconds = round(max(0.0, clock.monotonic() - worker.began), 1)
    return {"job_id": str(job.id), "job_class": type(job).__name__, "seconds": seconds}
