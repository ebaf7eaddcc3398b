"""The files of a store, and whether they are still the ones that were opened.

A file that was deleted, moved away or replaced can be written to as long as it is open, and what is
written there is lost to everybody else. A log that meets another database damages it. So a
connection remembers which files it opened; it is used only while its paths still name them, and a
write is acknowledged only if they did after its commit.
"""

from __future__ import annotations

import os

from rocketjob.base.errors import StoreUnavailable

from . import failures
from .location import INDEX, LOG, Location, beside

FileId = tuple[int, int]


def file_id(path: str) -> FileId | None:
    """Return what distinguishes the file from another of the same name; None if it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Files:
    """The files that a connection has open: the database and its log, with the log's index."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._path = location.path
        self._log, self._index = beside(self._path, LOG), beside(self._path, INDEX)
        self.database = file_id(self._path)
        self._log_id, self._index_id = file_id(self._log), file_id(self._index)

    def is_moved(self) -> bool:
        """Return whether the path of the database names another file, or none."""
        return file_id(self._path) != self.database

    def are_written(self) -> bool:
        """Return whether what was just committed is in the files that others would open."""
        return file_id(self._path) == self.database and file_id(self._log) == self._log_id

    def trouble(self) -> StoreUnavailable | None:
        """Return the error for what has happened to the files; None if they are as they were."""
        if self.database is None:  # it went while it was being opened
            return failures.deleted(self._location)
        found = trouble(self._location, self.database)
        if found is not None:
            return found
        for path, opened in ((self._log, self._log_id), (self._index, self._index_id)):
            if file_id(path) != opened:
                return failures.parted(self._location, path)
        return None


def trouble(location: Location, opened: FileId | None) -> StoreUnavailable | None:
    """Return the error if the path no longer names the file that was opened, else None."""
    if opened is None:  # none was opened yet
        return None
    present = file_id(location.path)
    if present == opened:
        return None
    return failures.deleted(location) if present is None else failures.replaced(location)


def leftover(location: Location) -> str | None:
    """Return the path of a log that has lost its database, which a new one must not meet.

    Looks for the log first: whoever makes a database makes it before the log.
    """
    paths = (beside(location.path, suffix) for suffix in (LOG, INDEX))
    logs = [path for path in paths if os.path.exists(path)]
    return logs[0] if logs and file_id(location.path) is None else None
