"""A log file that may be rotated, removed or out of reach for a while."""

from __future__ import annotations

import logging
from logging.handlers import WatchedFileHandler


class LogFile(WatchedFileHandler):
    """Goes on in a new file of the name when the present one was moved or removed.

    A line that cannot be written is told on standard error, and the next one is tried again: an
    error that is raised here would end the thread that writes them all.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # the file cannot be opened again
            self.handleError(record)
