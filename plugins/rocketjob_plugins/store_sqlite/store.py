"""The embedded store: the port of `rocketjob.store` on one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from rocketjob.base.errors import StoreUnavailable
from rocketjob.base.interrupt import Interrupt
from rocketjob.store import Capabilities, Counted, Filter, Sort, Stored, Update, Write
from rocketjob.store.documents.order import sort_of
from rocketjob.store.transacted import Transacted
from rocketjob.store.upkeep import Space

from . import compaction, group, ranged, steps
from .catalog import FORMAT_VERSION
from .collection import SqliteCollection
from .connection import Connection
from .database import Database
from .location import LOG, beside, parse
from .query import Query

MOST_IDLE: Final = 1000


class SqliteStore(Transacted):
    """A store in one SQLite file, which threads and processes of one machine share.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute/path.db` or `sqlite://:memory:`.
        create: whether to create a missing file; otherwise `StoreUnavailable` is raised.
    """

    space_advice = "it is in memory, and has no file"  # asked only then

    def __init__(self, url: str, *, create: bool = True) -> None:
        self._location = parse(url)
        self._database = Database(self._location, create=create)
        self._idle: set[str] = set()  # collections where the last claim found nothing

    @property
    def url(self) -> str:
        """Where the store is, with the absolute path of its file."""
        return self._location.absolute_url

    @property
    def is_new(self) -> bool:
        """Whether this process has made the file."""
        return self._database.connections.has_made_it

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; one in memory belongs to the process that opened it."""
        return Capabilities(
            several_processes=not self._location.in_memory, transactions=True, wake_up=True
        )

    def __repr__(self) -> str:
        return f"SqliteStore({self.url!r})"

    def collection(self, name: str) -> SqliteCollection:
        """Return a collection; it need not exist yet."""
        return SqliteCollection(self._database, name)

    def collection_names(self) -> list[str]:
        """Return the names of the existing collections, sorted."""
        return self._database.read(lambda connection: connection.catalog.names())

    def transaction(self) -> AbstractContextManager[Any]:
        """Group reads and writes of this thread; a block inside another joins the outer one."""
        return self._database.transaction()

    def claim_many(
        self,
        collection: str,
        filter: Filter,
        update: Update,
        *,
        sort: Sort,
        limit: int,
        session: Any = None,
    ) -> list[Stored]:
        """Update the first `limit` documents that match, and return them as updated."""
        query, order = Query(filter), sort_of(sort)
        updater = steps.prepared(update)
        if limit < 1:
            return []
        # If the last claim found nothing, look without the write lock before taking it again
        if collection in self._idle and not self._database.read(
            lambda connection: steps.matching(connection, collection, query, order, 1)
        ):
            return []
        claimed = self._database.write(
            lambda connection: steps.claim(connection, collection, query, updater, order, limit)
        )
        self._remember(collection, idle=not claimed)
        return claimed

    def _remember(self, collection: str, idle: bool) -> None:
        if not idle:
            self._idle.discard(collection)
            return
        if len(self._idle) > MOST_IDLE:  # mostly dropped collections
            self._idle.clear()
        self._idle.add(collection)

    def write_many(
        self, collection: str, writes: Sequence[Write], *, session: Any = None
    ) -> list[bool]:
        """Make a group of guarded writes in one transaction."""
        made = group.prepared(writes)

        def work(connection: Connection) -> list[bool]:
            table = connection.catalog.find(collection)
            if table is None:
                return [False] * len(writes)
            return [held for each in made for held in each.make(connection, table)]

        return self._database.write(work) if made else []

    def count_by(self, collection: str, key: str, filter: Filter | None = None) -> dict[Any, int]:
        """Count the documents by the value of one field."""
        query = Query(filter)

        def work(connection: Connection) -> dict[Any, int]:
            table = steps.find_table(connection, collection, query)
            return {} if table is None else steps.count_by(connection, table, query, key)

        return self._database.read(work)

    def count_by_range(
        self, collection: str, key: str, *, start: int, width: int, ranges: int
    ) -> dict[tuple[int, Any], Counted]:
        """Count the documents by the range that their `_id` is in, and the value of one field."""
        wanted = ranged.Ranges(start, width, ranges)

        def work(connection: Connection) -> dict[tuple[int, Any], Counted]:
            table = connection.catalog.find(collection)
            return {} if table is None else ranged.count(connection, table, key, wanted)

        return self._database.read(work)

    def change_mark(self) -> Any:
        """Return a mark of the store's current contents, for `wait_for_change`."""
        return self._database.changes.mark()

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: Interrupt | None = None
    ) -> bool:
        """Wait until any process has written something since `mark`."""
        return self._database.changes.wait(mark, timeout, interrupt)

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the same call may succeed later: locked, full or unreachable."""
        return isinstance(error, StoreUnavailable)

    def check(self) -> dict[str, Any]:
        """Report the versions, sizes and settings; `problems` and `warnings` need attention.

        `absent` says that there is no file yet.
        """
        report = self._database.read(self._report)
        if self._database.connections.is_to_be_made():
            report["absent"] = f"{self._location.path} does not exist: the first write makes it"
        elif (space := self.space()) is not None:
            report["warnings"] = compaction.warnings(space, self._location.path)
        return report

    def _report(self, connection: Connection) -> dict[str, Any]:
        def pragma(name: str) -> Any:
            return connection.raw.execute(f"PRAGMA {name}").fetchone()[0]

        path, page_size = self._location.path, pragma("page_size")
        problem = pragma("quick_check(1)")
        return {
            "store": "sqlite",
            "url": self.url,
            "path": path,
            "sqlite_version": sqlite3.sqlite_version,
            "format_version": FORMAT_VERSION,
            "journal_mode": pragma("journal_mode"),
            "synchronous": self._location.synchronous,
            "timeout": self._location.timeout,
            "collections": len(connection.catalog.names()),
            "bytes": pragma("page_count") * page_size,
            "free_bytes": pragma("freelist_count") * page_size,
            "auto_vacuum": pragma("auto_vacuum") == compaction.INCREMENTAL,
            "wal_bytes": compaction.size_of(beside(path, LOG)),
            "problems": [] if problem == "ok" else [problem],
        }

    def space(self) -> Space | None:
        """Return what the files take on disk; None in memory."""
        return None if self._location.in_memory else compaction.measure(self._database)

    def tidy(self) -> None:
        """Give back a little of what is free, if it is much, and keep the log short."""
        if not self._location.in_memory:
            compaction.tidy(self._database)

    def compact(self, *, in_steps: bool = False) -> Iterator[Space]:
        """Make the files as small as they can be; see `rocketjob.store.upkeep`."""
        if not self._location.in_memory:
            make_smaller = compaction.compact_in_steps if in_steps else compaction.rewrite
            yield from make_smaller(self._database)

    def close(self) -> None:
        """Release connections. A closed store reopens itself when it is used."""
        self._database.connections.close()
