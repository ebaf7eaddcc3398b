"""What each test would make afresh though it is always the same: found or made once a process.

A test that wants its own replaces it, or changes what it depends on: the import path and its
folders, the plugins and their indexes.
"""

import atexit
import functools
import os
import sqlite3
import sys
from importlib import metadata

from rocketjob.application import Application
from rocketjob_plugins.store_sqlite.location import MEMORY
from rocketjob_plugins.store_sqlite.store import SqliteStore


def keep():
    """Keep the entry points of the path, and the indexes of an empty store in memory."""
    metadata.entry_points = functools.partial(_entry_points, metadata.entry_points)
    Application.ensure_indexes = _with_kept_indexes(Application.ensure_indexes)


def _entry_points(find, **wanted):
    return _found(find, tuple(sys.path), tuple(map(_changed, sys.path)), **wanted)


@functools.lru_cache(maxsize=16)
def _found(find, path, changed, **wanted):
    return find(**wanted)


def _changed(folder):
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return None


def _with_kept_indexes(ensure):
    """Copy them from a store that was empty, in place of making each again."""
    kept = {}

    @functools.wraps(ensure)
    def ensure_indexes(application, store, **how):
        raw = _empty(store)
        wanted = raw and repr(application.indexes(store))
        if wanted in kept:
            kept[wanted].backup(raw)
        ensure(application, store, **how)  # which finds all of them, or makes them
        if raw and wanted not in kept:
            kept[wanted] = copy = sqlite3.connect(MEMORY, check_same_thread=False)
            raw.backup(copy)
            atexit.register(copy.close)

    return ensure_indexes


def _empty(store):
    """Return the connection of a store in memory that has nothing yet; None: it is another one."""
    if not isinstance(store, SqliteStore) or not store._location.in_memory:
        return None
    if store.collection_names():
        return None
    return store._database.connections.current().raw
