"""The embedded store: documents in one SQLite file, for `sqlite:` URLs.

    rocketjob.connect("sqlite:///jobs.db")        # a file, shared by the processes of a machine
    rocketjob.connect("sqlite://:memory:")        # lost with the process: for tests

Options: `?synchronous=FULL` keeps every commit even after a power failure, but is slower;
`?timeout=5` limits how long a writer waits for another (default: 30 seconds).

It supports the part of MongoDB's filter and update language that docs/stores/sqlite.md lists, and
rejects the rest. The modules, from the bottom: `values` (BSON values and their order), `cells`
(values in SQLite columns), `paths`, `language`, `leaves` and `matcher` (filters, on documents),
`places`, `operators` and `updater` (updates), `projection`, `table`, `alike` (documents that an
update changes in the same way), `catalog` (which tables there are), `sql` (filters as SQL), `files`
and `holders` (whether files were moved, and who uses them), `connection`, `connections` (those of a
process), `changes` (waiting for one), `database` (reading, writing and transactions), `compaction`,
`collection`, `store`, `scratch` (a store for tests).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from rocketjob.server.scratch import Scratch

    from .store import SqliteStore  # for start-up time

__all__ = ["SqliteStore", "open_scratch", "open_store"]


@hookimpl
def open_store(url: str, config: Any) -> SqliteStore | None:
    """Return a store for a URL that begins with `sqlite:`."""
    if not url.startswith("sqlite:"):
        return None
    from .store import SqliteStore  # bson is not loaded before it is needed

    return SqliteStore(url, create=config.create_store)


@hookimpl
def open_scratch(url: str, config: Any) -> Scratch | None:
    """Return a place for tests beside the file of a URL that begins with `sqlite:`."""
    if not url.startswith("sqlite:"):
        return None
    from .scratch import make  # bson is not loaded before it is needed

    return make(url)


def __getattr__(name: str) -> Any:
    if name == "SqliteStore":
        from .store import SqliteStore  # for start-up time

        return SqliteStore
    raise AttributeError(name)
