"""Waking other processes through a capped collection, where the server has no change streams.

Each process that writes says so by a tiny document in the capped collection `rocket_job.wake_up`,
and in each process that waits one thread follows that collection with a tailable cursor. The
documents mean nothing but "look again", so that many writes share one: no more than one is
inserted in twenty milliseconds, by a thread of its own, and no writer waits for it.

That something was written is learnt from pymongo, which tells a `CommandListener` of each command
that succeeded. So collections stay pymongo's own; it costs a write some ten microseconds, and only
where this is used.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pymongo import CursorType, WriteConcern
from pymongo.errors import CollectionInvalid, OperationFailure
from pymongo.monitoring import CommandListener

from rocketjob.base import clock
from rocketjob.base.backoff import Backoff
from rocketjob.base.errors import StoreError
from rocketjob_plugins.store_mongodb.changes import BACK_OFF, Changes, await_ms, log
from rocketjob_plugins.store_mongodb.quiet import is_quiet

if TYPE_CHECKING:
    from pymongo.monitoring import (
        CommandFailedEvent,
        CommandStartedEvent,
        CommandSucceededEvent,
    )

COLLECTION = "rocket_job.wake_up"
BYTES = 16 * 1024  # some hundred documents: a reader that is late by more than these starts again
PAUSE = 0.02  # seconds between two of them from one process
EXISTS_ALREADY = 48


class Tailable(Changes):
    """Follows the capped collection while anybody waits, and writes to it after writes."""

    def __init__(self, database: Callable[[], Any]) -> None:
        super().__init__(database)
        self._news = threading.Event()
        self._is_made = False
        self._making = threading.Lock()  # of two threads one would drop what the other has made
        self._teller: threading.Thread | None = None

    # --- reading -----------------------------------------------------------------------------

    def _open(self) -> Any:
        """Follow the collection from its beginning, so that nothing is missed.

        What was there before wakes those who wait once more than needed.
        """
        database = self.database()
        make_capped(database)
        cursor = database[COLLECTION].find({}, cursor_type=CursorType.TAILABLE_AWAIT)
        return cursor.max_await_time_ms(await_ms(database))

    def _read(self, stream: Any) -> bool:
        return next(stream, None) is not None

    # --- writing -----------------------------------------------------------------------------

    def note(self) -> None:
        """Say that this process has written; the others are told by a thread."""
        if threading.current_thread() is self._teller:
            return  # that was the telling itself
        self.add()
        self._news.set()
        if self._teller is None:
            self._start_teller()

    def _start_teller(self) -> None:
        with self._changed:
            if self._teller is None and not self._stopping.is_set():
                atexit.register(_tell_at_exit, weakref.ref(self))
                self._teller = threading.Thread(target=self._tell, name="wake-up", daemon=True)
                self._teller.start()

    def _tell(self) -> None:
        pauses = Backoff(*BACK_OFF)
        while self._news.wait() and not self._stopping.is_set():
            try:
                self._tell_now()
                pauses.reset()
            except Exception as error:  # those who wait look by themselves now and then
                log.debug("others could not be woken", error=str(error)[:200])
                self._news.set()
                self._stopping.wait(pauses.next())
            self._stopping.wait(PAUSE)

    def _tell_now(self) -> None:
        """Insert a document if there is news; the primary alone is asked: it is what is read."""
        if self._news.is_set():
            self._news.clear()  # first: what is written from here on is told again
            with self._making:
                if not self._is_made:
                    make_capped(self.database())
                    self._is_made = True
            told = self.database()[COLLECTION].with_options(write_concern=WriteConcern(1))
            told.insert_one({"at": clock.now()})

    def stop(self) -> None:
        self._stopping.set()
        teller = self._teller
        if teller is not None and self._news.is_set():
            _quietly_tell(self)
        self._news.set()
        if teller is not None and teller is not threading.current_thread():
            teller.join(2)
        super().stop()

    def tell_at_exit(self) -> None:
        """Announce what was written last, unless `stop` has."""
        if not self._stopping.is_set():
            _quietly_tell(self)


def _tell_at_exit(ref: weakref.ref[Tailable]) -> None:
    if (changes := ref()) is not None:
        changes.tell_at_exit()


def _quietly_tell(changes: Tailable) -> None:
    """Announce what was written last, so that a process may end right after it."""
    try:
        changes._tell_now()
    except Exception as error:
        log.debug("others could not be woken", error=str(error)[:200])


class Writes(CommandListener):
    """Tells a store of the commands of its client that have written something that is news.

    Args:
        written: a method of the store, which is not kept alive by this.
    """

    def __init__(self, written: Callable[[], None]) -> None:
        self._written = weakref.WeakMethod(written)
        self._quiet: set[int] = set()  # the numbers of commands that are under way

    def started(self, event: CommandStartedEvent) -> None:
        if is_quiet(event.command_name, event.command):
            self._quiet.add(event.request_id)

    def failed(self, event: CommandFailedEvent) -> None:
        self._quiet.discard(event.request_id)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.request_id in self._quiet:
            self._quiet.discard(event.request_id)
        elif has_written(event.command_name, event.reply):
            written = self._written()
            if written is not None:
                written()


def has_written(command: str, reply: Any) -> bool:
    """Return whether a command changed anything that others can see now.

    A claim that finds nothing must wake nobody, or those who are idle would wake each other. What
    is written in a transaction is seen when that is committed.
    """
    if command in ("insert", "update", "delete"):
        return bool(reply.get("n"))
    if command == "findAndModify":
        return bool((reply.get("lastErrorObject") or {}).get("n"))
    return command == "commitTransaction"


def make_capped(database: Any, name: str = COLLECTION) -> None:
    """Make the capped collection if it is missing, and never leave it empty.

    A cursor on an empty one ends at once. One that is not capped was made by an insert after it
    had been dropped.

    Raises:
        StoreError: there is one of this name that is something else's.
    """
    collection = database[name]
    if not collection.options().get("capped"):
        if collection.find_one({"at": {"$exists": False}}) is not None:
            raise StoreError(
                f"{database.name} has a collection {name} of something else, and RocketJob needs "
                "that name: name a database of its own in the URL"
            )
        if database.list_collection_names(filter={"name": name}):
            collection.drop()
        try:
            database.create_collection(name, capped=True, size=BYTES)
        except CollectionInvalid:
            pass  # another process was first
        except OperationFailure as error:
            if error.code != EXISTS_ALREADY:
                raise
    if collection.find_one({}) is None:
        collection.insert_one({"at": clock.now()})


def can_tail(database: Any, name: str) -> bool:
    """Return whether a tailable cursor stays open behind the last document of a new collection."""
    make_capped(database, name)
    tail = database[name].find({}, cursor_type=CursorType.TAILABLE_AWAIT)
    with tail.max_await_time_ms(1) as cursor:
        for _ in range(BYTES):
            if next(cursor, None) is None:
                break
        return bool(cursor.alive)
