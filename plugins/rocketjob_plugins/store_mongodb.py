"""The MongoDB store: pymongo's own collections, as they are.

    url = "mongodb://user:password@host1,host2,host3/jobs?replicaSet=rs0"

The URL is pymongo's, with all of its options; the database is the URL's, or `rocketjob`. Writes are
acknowledged by a majority unless the URL says otherwise. Transactions and change streams are used
where the deployment has them (a replica set or a sharded cluster); `rocketjob doctor` says which.
Elsewhere a group of writes is made in turn, and idle workers poll.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from rocketjob import hookimpl
from rocketjob.errors import ConfigurationError, StoreError, StoreUnavailable
from rocketjob.store import Collection, Filter, Sort, Store, Stored, Update, Write

if TYPE_CHECKING:
    from rocketjob.config import Config

DEFAULT_DATABASE = "rocketjob"
DEFAULTS = {
    "appname": "rocketjob",
    "retrywrites": True,
    "retryreads": True,
    "w": "majority",
    "serverselectiontimeoutms": 10_000,
    "connecttimeoutms": 10_000,
    "maxpoolsize": 100,
}
SCHEMES = ("mongodb:", "mongodb+srv:")
POLL_SECONDS = (0.05, 1.0)  # first and longest wait where there are no change streams
AWAIT_MS = 500  # how long the server holds one read of a change stream
TRANSIENT_CODES = frozenset({6, 7, 89, 91, 112, 189, 251, 262, 9001, 10107, 11600, 11602, 13435})


@hookimpl
def open_store(url: str, config: Config) -> Store | None:
    return MongoStore(url) if url.startswith(SCHEMES) else None


class MongoStore:
    """A MongoDB deployment.

    Args:
        url: as pymongo takes it.
        transactions: None finds out whether the deployment has them.
        change_streams: likewise.

    Raises:
        ConfigurationError: the URL is wrong.
        StoreError: the credentials or rights are.
        StoreUnavailable: no server answers.
    """

    def __init__(
        self, url: str, transactions: bool | None = None, change_streams: bool | None = None
    ) -> None:
        self._full_url = url
        self._transactions = transactions
        self._change_streams = change_streams
        self._lock = threading.RLock()
        self._local = threading.local()
        self._client: Any = None
        self._pid = 0
        self._changes = _Changes(self)
        self._facts = self._connect()

    # --- connection --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return hide_password(self._full_url)

    @property
    def client(self) -> Any:
        """pymongo's client; one for each process, made after a fork too."""
        if self._client is None or self._pid != os.getpid():
            with self._lock:
                if self._client is None or self._pid != os.getpid():
                    self._client, self._pid = self._make_client(), os.getpid()
                    self._changes = _Changes(self)
        return self._client

    def _make_client(self) -> Any:
        import pymongo
        from pymongo.errors import ConfigurationError as BadURL
        from pymongo.errors import InvalidURI

        given = urlsplit(self._full_url).query.lower()
        options = {n: v for n, v in DEFAULTS.items() if f"{n}=" not in given}
        try:
            return pymongo.MongoClient(
                self._full_url, tz_aware=True, uuidRepresentation="standard", **options
            )
        except (InvalidURI, BadURL, ValueError) as error:
            raise ConfigurationError(
                f"{self.url} is no URL for MongoDB: {error}. It is such as "
                "mongodb://user:password@host:27017/database"
            ) from None

    @property
    def database(self) -> Any:
        return self.client.get_default_database(DEFAULT_DATABASE)

    def _connect(self) -> dict[str, Any]:
        """Reach the server once, so that what is wrong is said at the start."""
        from pymongo.errors import OperationFailure, PyMongoError

        try:
            hello: dict[str, Any] = self.client.admin.command("hello")
            self.database.list_collection_names(nameOnly=True)
        except OperationFailure as error:
            raise StoreError(
                f"{self.url} refused the connection: {_reason(error)}. Check the user, the "
                "password, authSource, and that the user may read and write the database"
            ) from None
        except PyMongoError as error:
            raise StoreUnavailable(
                f"{self.url} cannot be reached: {_reason(error)}. Check the host and port, that "
                "the server runs, and TLS"
            ) from None
        return hello

    @property
    def supports_transactions(self) -> bool:
        if self._transactions is None:
            self._transactions = self._is_replicated
        return self._transactions

    @property
    def supports_change_streams(self) -> bool:
        if self._change_streams is None:
            self._change_streams = self._is_replicated and self._can_watch()
        return self._change_streams

    @property
    def _is_replicated(self) -> bool:
        return "setName" in self._facts or self._facts.get("msg") == "isdbgrid"

    def _can_watch(self) -> bool:
        from pymongo.errors import PyMongoError

        try:
            with self.database.watch(max_await_time_ms=1) as stream:
                stream.try_next()
        except PyMongoError:
            return False
        return True

    def close(self) -> None:
        with self._lock:
            self._changes.stop()
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = None
            self._changes = _Changes(self)

    # --- collections -------------------------------------------------------------------------

    def collection(self, name: str) -> Collection:
        if getattr(self._local, "session", None) is not None:
            # In a transaction the concern is the transaction's: naming one again is refused.
            return self.database.with_options(write_concern=_unset())[name]  # type: ignore[no-any-return]
        return self.database[name]  # type: ignore[no-any-return]

    def collection_names(self) -> list[str]:
        return sorted(self.database.list_collection_names())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        present = getattr(self._local, "session", None)
        if present is not None or not self.supports_transactions:
            yield present
            return
        with self.client.start_session() as session, session.bind(end_session=False):
            self._local.session = session
            try:
                with session.start_transaction():
                    yield session
            finally:
                self._local.session = None

    # --- groups ------------------------------------------------------------------------------

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
        """Claim one after the other: each is one `find_one_and_update`, atomic by itself."""
        found: list[Stored] = []
        documents: Any = self.collection(collection)
        while len(found) < limit:
            claimed = documents.find_one_and_update(
                filter, update, sort=list(sort), return_document=True, session=session
            )
            if claimed is None:
                break
            found.append(claimed)
        return found

    def write_many(
        self, collection: str, writes: Sequence[Write], *, session: Any = None
    ) -> list[bool]:
        """Write in one message; only if some did not match are they made again one by one.

        A group in a message says how many matched, not which. So it is a transaction, given up
        and made singly when one is missing.
        """
        if len(writes) > 1 and self.supports_transactions and self._write_at_once(collection, writes):
            return [True] * len(writes)
        return [self._write_one(collection, write, session) for write in writes]

    def _write_at_once(self, collection: str, writes: Sequence[Write]) -> bool:
        import pymongo

        operations = [
            pymongo.DeleteOne(w.filter) if w.update is None else pymongo.UpdateOne(w.filter, w.update)
            for w in writes
        ]
        if getattr(self._local, "session", None) is not None:
            return False  # part of a larger transaction, which must not be given up for this
        try:
            with self.transaction() as session:
                result = self.collection(collection).bulk_write(
                    operations, ordered=False, session=session
                )
                if result.matched_count + result.deleted_count != len(writes):
                    raise _Missing
        except _Missing:
            return False
        except Exception as error:
            if self.is_transient(error):
                return False
            raise
        return True

    def _write_one(self, collection: str, write: Write, session: Any) -> bool:
        documents: Any = self.collection(collection)
        if write.update is None:
            return bool(documents.delete_one(write.filter, session=session).deleted_count)
        result = documents.update_one(write.filter, write.update, session=session)
        return bool(result.matched_count)

    def count_by(self, collection: str, key: str, filter: Filter | None = None) -> dict[Any, int]:
        stages = [{"$match": dict(filter or {})}, {"$group": {"_id": f"${key}", "n": {"$sum": 1}}}]
        return {each["_id"]: each["n"] for each in self.database[collection].aggregate(stages)}

    # --- changes -----------------------------------------------------------------------------

    def change_mark(self) -> Any:
        return self._changes.count

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: threading.Event | None = None
    ) -> bool:
        if self.supports_change_streams:
            return self._changes.wait(mark, timeout, interrupt)
        return _poll(timeout, interrupt)

    # --- health ------------------------------------------------------------------------------

    def is_transient(self, error: BaseException) -> bool:
        from pymongo.errors import ConnectionFailure, PyMongoError

        if isinstance(error, StoreUnavailable | ConnectionFailure):
            return True
        if not isinstance(error, PyMongoError):
            return False
        labels = ("TransientTransactionError", "RetryableWriteError")
        return (
            any(error.has_error_label(label) for label in labels)
            or getattr(error, "code", None) in TRANSIENT_CODES
        )

    def check(self) -> dict[str, Any]:
        info = self.client.admin.command("buildInfo")
        found: dict[str, Any] = {
            "version": info.get("version"),
            "database": self.database.name,
            "deployment": self._deployment(),
            "transactions": self.supports_transactions,
            "wake-up": "change streams" if self.supports_change_streams else "polling",
        }
        with contextlib.suppress(Exception):
            found["size"] = self.database.command("dbStats").get("dataSize")
        return found

    def _deployment(self) -> str:
        if self._facts.get("msg") == "isdbgrid":
            return "sharded cluster"
        name = self._facts.get("setName")
        return f"replica set {name}" if name else "standalone"


class _Missing(Exception):  # noqa: N818 (it is no error: it ends a transaction)
    """Some writes of a group matched nothing."""


class _Changes:
    """Counts the changes of the database, in a thread of its own, while anybody waits for them."""

    def __init__(self, store: MongoStore) -> None:
        self.store, self.count = store, 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def wait(self, mark: int, timeout: float, interrupt: threading.Event | None) -> bool:
        self._start()
        end = time.monotonic() + timeout
        with self._changed:
            while self.count == mark and (interrupt is None or not interrupt.is_set()):
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.02 if interrupt is not None else left))
            return self.count != mark

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)
                self._thread.start()
                self.count += 1  # what was written before the stream was open is not seen by it

    def _watch(self) -> None:
        wait = POLL_SECONDS[0]
        while not self._stopping.is_set():
            try:
                with self.store.database.watch(
                    [{"$project": {"_id": 1}}], max_await_time_ms=AWAIT_MS
                ) as stream:
                    self._add()
                    while stream.alive and not self._stopping.is_set():
                        if stream.try_next() is not None:
                            self._add()
                        wait = POLL_SECONDS[0]
            except Exception:
                self._add()  # whoever waits looks for himself, and meets the error
                self._stopping.wait(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, POLL_SECONDS[1])

    def _add(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def stop(self) -> None:
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2)


def _poll(timeout: float, interrupt: threading.Event | None) -> bool:
    """Wait a little, and say that there may have been a change."""
    seconds = min(timeout, POLL_SECONDS[1] * random.uniform(0.5, 1.0))
    (interrupt or threading.Event()).wait(seconds)
    return not (interrupt is not None and interrupt.is_set())


def _unset() -> Any:
    from pymongo import WriteConcern

    return WriteConcern()


def hide_password(url: str) -> str:
    """Return a URL without its password."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    netloc = f"{name}:***@{hosts}" if at and ":" in user else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc))


def _reason(error: Exception) -> str:
    return str(error).partition(", full error")[0].partition(", Timeout:")[0][:300]


