"""Looking again and again, for commands that wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from rocketjob.base import clock

LOOK_SECONDS = 0.2


def looks(timeout: float | None) -> Iterator[None]:
    """Yield at intervals, at least once, until the time is up."""
    end = None if timeout is None else clock.monotonic() + timeout
    while True:
        yield
        if end is not None and clock.monotonic() >= end:
            return
        threading.Event().wait(LOOK_SECONDS)
