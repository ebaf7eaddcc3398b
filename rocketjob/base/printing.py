"""What jobs print may be lost, but fails no job.

A terminal is closed, a pipe's reader ends, a disk is full: `print` would raise in every job that
runs from then on.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from rocketjob.base.log import Logger

log = Logger("rocketjob.printing")


class _Lenient(io.FileIO):
    """A stream that drops what cannot be written, and says so once."""

    dropped = False

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not self.dropped:
                self.dropped = True
                log.warning("what is printed is lost", descriptor=self.name, error=str(error))
            return memoryview(data).nbytes


def be_lenient() -> None:
    """Let what cannot be written to the standard streams of this process be lost."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        raw = io.BufferedWriter(_Lenient(number, "w", closefd=False))
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
