"""A store for tests beside the file of another one: on the same disk, in a directory of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile

from rocketjob.base.errors import StoreUnavailable
from rocketjob.server.scratch import Scratch

from .location import Location, parse
from .store import SqliteStore

PREFIX = "rocketjob-scratch-"


def make(url: str) -> Scratch:
    """Make a directory for files beside that of a URL.

    Raises:
        ConfigurationError: the URL is wrong.
        StoreUnavailable: no directory can be made there.
    """
    location, engine = parse(url), f"SQLite {sqlite3.sqlite_version}"
    if location.in_memory:
        return Scratch("memory", engine, lambda: SqliteStore(url), lambda: None)
    folder = _folder_beside(location)
    numbers = itertools.count(1)

    def new() -> SqliteStore:
        path = os.path.join(folder, f"{next(numbers)}.db")
        return SqliteStore(location._replace(path=path).absolute_url)

    return Scratch(
        f"directory {folder}", engine, new, lambda: shutil.rmtree(folder, ignore_errors=True)
    )


def _folder_beside(location: Location) -> str:
    beside = os.path.dirname(os.path.realpath(location.path))
    try:
        return tempfile.mkdtemp(prefix=PREFIX, dir=beside)
    except OSError as error:
        raise StoreUnavailable(
            f"No directory for tests can be made in {beside}: {error.strerror}. Check that it is "
            "there, that it may be written to, and that the disk has room"
        ) from None
