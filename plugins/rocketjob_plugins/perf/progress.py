"""What is said on standard error while something is measured."""

from __future__ import annotations

import sys

from rocketjob.base import clock

LINE_SECONDS = 5.0  # between two lines where there is no terminal


class Progress:
    """One line that changes, on a terminal; elsewhere a line now and then.

    What is said must cost next to nothing: it is said in the middle of what is measured.
    """

    def __init__(self) -> None:
        self.label = ""
        self._is_terminal = sys.stderr.isatty()
        self._width = 0
        self._line_at = clock.monotonic()

    def say(self, text: str) -> None:
        line = f"{self.label}{text}"
        if self._is_terminal:
            sys.stderr.write(f"\r{line:{self._width}}")
            self._width = len(line)
            sys.stderr.flush()
        elif clock.monotonic() - self._line_at >= LINE_SECONDS:
            self._line_at = clock.monotonic()
            sys.stderr.write(f"{line}\n")

    def far(self, what: str, done: int, total: int) -> None:
        """Say how far something has come."""
        self.say(f"{what}: {done:,} of {total:,}")

    def clear(self) -> None:
        """Leave the line empty for what is printed next."""
        if self._is_terminal and self._width:
            sys.stderr.write(f"\r{'':{self._width}}\r")
            sys.stderr.flush()
            self._width = 0
