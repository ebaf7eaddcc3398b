"""What the threads of this process do: where each is, and at which job."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any, Protocol

from rocketjob.base import clock
from rocketjob.base.passwords import hide_passwords

MOST_FRAMES = 100  # of one thread: the last, which say where it is


class AtWork(Protocol):
    """A worker, as far as is asked for here: a thread, or a place on the event loop."""

    @property
    def thread(self) -> threading.Thread: ...

    @property
    def job(self) -> Any: ...

    @property
    def began(self) -> float: ...

    @property
    def coroutine(self) -> list[str] | None:
        """The lines of where its coroutine is; None if it works on a thread of its own."""
        ...

    @property
    def part(self) -> tuple[Any, int, float] | None:
        """The id of the job that it has last worked on a part of, which part, and since when."""
        ...


def stacks(workers: Iterable[AtWork] = ()) -> list[dict[str, Any]]:
    """Return for each thread its `thread`, the name, and `stack`, a list of lines.

    So for each job on the event loop, whose stack is that of its coroutine. What performs a job has
    besides `job_id`, `job_class`, and `seconds`, for how long, of a
    batch job for how long it has been at the `slice`; those are first, the longest first of all.
    """
    frames, by_thread, found = sys._current_frames(), {}, []
    for each in workers:
        if (lines := each.coroutine) is None:
            by_thread[each.thread.ident] = each
        elif at := _work_of(each):
            found.append({"thread": each.thread.name, **at, "stack": _split(lines)})
    for thread in threading.enumerate():
        if (frame := frames.get(thread.ident or 0)) is not None:
            lines = traceback.format_list(traceback.extract_stack(frame)[-MOST_FRAMES:])
            stack = _split(lines)
            worker = by_thread.get(thread.ident)
            found.append({"thread": thread.name, **_work_of(worker), "stack": stack})
    return sorted(found, key=lambda each: -each.get("seconds", -1.0))


def work(workers: Iterable[AtWork]) -> list[dict[str, Any]]:
    """Return for each worker that performs a job its `thread`, and what `stacks` says of the job.

    With `progress`, what the job last said of it, if it did. The longest is first.
    """
    found = [(each.thread.name, _work_of(each), each.job) for each in workers]
    rows = [{"thread": name, **at, **_said(job)} for name, at, job in found if at]
    return sorted(rows, key=lambda each: -each["seconds"])


def _split(lines: Iterable[str]) -> list[str]:
    return [line.rstrip("\n") for line in lines]


def _work_of(worker: AtWork | None) -> dict[str, Any]:
    job = None if worker is None else worker.job  # read once: its thread sets it
    if worker is None or job is None:
        return {}
    began, part = worker.began, worker.part
    found: dict[str, Any] = {"job_id": str(job.id), "job_class": type(job).__name__}
    if part is not None and part[0] == job.id:  # not one of an earlier job
        found["slice"], began = part[1:]
    return {**found, "seconds": round(max(0.0, clock.monotonic() - began), 1)}


def _said(job: Any) -> dict[str, str]:
    """Return what a job said of its progress; it may have ended meanwhile, or fail at it."""
    try:
        said = job.progress_now()
    except Exception:
        return {}
    return {"progress": hide_passwords(said)} if said else {}
