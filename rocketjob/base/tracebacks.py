"""Tracebacks that begin with people's own code, without the frames that called it."""

from __future__ import annotations

from types import FrameType, TracebackType

PACKAGE = __name__.partition(".")[0]
MARK = "__tracebackhide__"
"""A module outside of the kernel sets it to True if it only calls what jobs bring."""


def from_job_code(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames before the first one of a job's code; None if there is none."""
    first = traceback
    while first is not None and is_ours(first.tb_frame):
        first = first.tb_next
    return first or traceback


def is_ours(frame: FrameType) -> bool:
    """Return whether a frame only calls what jobs bring."""
    names = frame.f_globals
    module = str(names.get("__name__", ""))
    return module.partition(".")[0] == PACKAGE or bool(names.get(MARK))
