"""A log file that may be rotated, removed or out of reach for a while."""

from __future__ import annotations

import contextlib
import logging
import os
from logging.handlers import WatchedFileHandler
from typing import Any


class LogFile(WatchedFileHandler):
    """Goes on in a new file of the name when the present one was moved or removed.

    Several processes write to it, and each may be the one that rotates it: the file itself is
    locked for that, and whoever comes second finds that the name has another file already.

    Args:
        max_bytes: the size at which the file becomes `path.1`; None: others see to that.
        backups: how many there are of those; the oldest is removed.
    """

    def __init__(
        self, path: str | os.PathLike[str], max_bytes: int | None = None, backups: int = 5
    ):
        super().__init__(path, encoding="utf-8")
        self._max_bytes, self._backups = max_bytes, backups

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._max_bytes is not None:
                self.reopenIfNeeded()
                self._rotate_if_full(self._max_bytes)
            super().emit(record)
        except OSError:  # the file cannot be opened again
            self.handleError(record)

    def _rotate_if_full(self, most: int) -> None:
        stream: Any = self.stream
        if stream is None or os.fstat(stream.fileno()).st_size < most:
            return
        import fcntl  # which Windows does not have

        fcntl.flock(stream, fcntl.LOCK_EX)  # ends with the stream
        if os.fstat(stream.fileno()).st_ino == _inode(self.baseFilename):
            self._rotate()
        self.reopenIfNeeded()

    def _rotate(self) -> None:
        names = [self.baseFilename, *(f"{self.baseFilename}.{n + 1}" for n in range(self._backups))]
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None
