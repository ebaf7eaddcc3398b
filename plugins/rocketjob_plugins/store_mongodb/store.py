"""The store: one client of pymongo for each process, and what collections cannot do.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from rocketjob.base.errors import StoreError, is_conflict
from rocketjob.base.interrupt import Interrupt
from rocketjob.store import (
    Capabilities,
    Collection,
    Committed,
    Counted,
    Filter,
    Lease,
    Sort,
    Stored,
    Units,
    Update,
    Write,
)
from rocketjob.store.lease import NOT_NEEDED, lease
from rocketjob.store.outbox import Outbox
from rocketjob.store.transacted import commit_in_transaction
from rocketjob_plugins.store_mongodb import (
    failures,
    groups,
    judgement,
    location,
    tailable,
    transactions,
    trials,
)
from rocketjob_plugins.store_mongodb.changes import Changes, Polling
from rocketjob_plugins.store_mongodb.deployment import Deployment
from rocketjob_plugins.store_mongodb.front import Front
from rocketjob_plugins.store_mongodb.ordered import OrderedCollection

WAKE_UPS: dict[str, type[Changes] | type[Polling]] = {
    "changeStreams": Changes,
    "tailable": tailable.Tailable,
    "polling": Polling,
}
WAKE_UP_NAMES = {"changeStreams": "change streams", "tailable": "tailable cursor"}
PROBED = "rocket_job.limits"  # which also keeps the leases
_stores: weakref.WeakSet[MongoStore] = weakref.WeakSet()


class MongoStore:
    """A MongoDB deployment.

    Args:
        url: as pymongo takes it, and with `rocketjobTransactions` and `rocketjobWakeUp`.
        transactions: whether to use them; None asks the URL and then the deployment.
        wake_up: how idle workers are woken, one of `location.WAKE_UPS`; None does the same.
        workers: how many threads of this process use it at once; as many connections are allowed,
            and some more, if the URL does not say.
        database: its name, instead of that in the URL.

    Raises:
        ConfigurationError: the URL is wrong.
        StoreError: the credentials, the rights or the server are.
        StoreUnavailable: no server answers.
    """

    space_advice = (
        "MongoDB uses the space of what was deleted again. To give it back to the system, run on "
        "each member, in mongosh: db.runCommand({compact: 'rocket_job.jobs'}), and likewise "
        "for other large collections"
    )

    def __init__(
        self,
        url: str,
        transactions: bool | None = None,
        wake_up: str | None = None,
        workers: int = location.SPARE_CONNECTIONS,
        database: str | None = None,
    ) -> None:
        parsed = location.parse(url)
        self._connections = workers + location.SPARE_CONNECTIONS
        self._full_url, self._name = parsed.url, database
        self.supports_transactions = False  # whether they are used
        self.wake_up = "polling"  # until it is known what there is
        self._outbox = Outbox(self)
        self._front = Front()
        self._client: Any = None
        self._abandoned: list[Any] = []  # a parent's clients: they must not even be finalised
        self._renew()
        transactions = parsed.transactions if transactions is None else transactions
        self._use(self._connect(wake_up or parsed.wake_up, transactions))
        _stores.add(self)

    def _renew(self) -> None:
        """Start again in this process, without locks, threads and sessions of another one."""
        self._lock = threading.RLock()
        self._local = threading.local()
        if self._client is not None:
            self._abandoned.append(self._client)
        self._client = None
        self._changes = self._new_changes()

    # --- connection --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return location.hide_password(self._full_url)

    @property
    def client(self) -> Any:
        """pymongo's client; one for each process, made after a fork too."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = location.make_client(
                        self._full_url, self._listeners(), self._connections
                    )
        return self._client

    @property
    def database(self) -> Any:
        """pymongo's database; it reads from the primary, whatever the URL says."""
        from pymongo import ReadPreference

        named = self.client.get_default_database(location.DEFAULT_DATABASE)
        database = named if self._name is None else self.client[self._name]
        return database.with_options(read_preference=ReadPreference.PRIMARY)

    def _connect(self, wake_up: str | None, transactions: bool | None) -> str:
        """Reach the server once, so that an error is raised at the start, and judge it.

        Returns:
            how idle workers are woken.
        """
        from pymongo.errors import PyMongoError

        name = self.database.name
        try:
            deployment = Deployment(lambda: self.database, self.url, self._connect_for_trials)
            failures.check_hello(self.url, deployment.facts)
            status = deployment.status()
            if problem := failures.rights_problem(status, name):
                raise failures.no_rights(self.url, name, problem)
            if failures.leaves_rights_open(status):
                self.database[PROBED].delete_one({"_id": None})  # refused, or finds nothing
            deployment.judge()
            best = deployment.find_wake_up(wake_up)
            self.supports_transactions = deployment.find_transactions(transactions)
        except PyMongoError as error:
            self.close()
            raise failures.refused(self.url, name, error) from None
        except StoreError:
            self.close()
            raise
        self.deployment = deployment
        return best

    def _connect_for_trials(self) -> Any:
        size = trials.CONNECTIONS + 1
        return location.make_client(self._full_url, maxPoolSize=size, waitQueueTimeoutMS=10_000)

    @property
    def capabilities(self) -> Capabilities:
        """What the deployment can do."""
        return Capabilities(
            several_processes=True,
            transactions=self.supports_transactions,
            wake_up=self.wake_up != "polling",
            sees_all=self.wake_up == "changeStreams",
            relayed=True,
        )

    def _use(self, wake_up: str) -> None:
        """Wake others, and be woken, in this way from now on."""
        self.wake_up = wake_up
        self._changes = self._new_changes()
        if wake_up == "tailable" and self._client is not None:
            self._client.close()  # listeners are given to a client when it is made
            self._client = None

    def _new_changes(self) -> Changes | Polling:
        return WAKE_UPS[self.wake_up](lambda: self.database)

    def _listeners(self) -> list[Any]:
        return [tailable.Writes(self.written)] if self.wake_up == "tailable" else []

    def close(self) -> None:
        with self._lock:
            self._changes.stop()
            if self._client is not None:
                self._client.close()
            self._client = None
            self._changes = self._new_changes()

    # --- collections -------------------------------------------------------------------------

    def collection(self, name: str) -> Collection:
        session = getattr(self._local, "session", None)
        collection: Any = self.database[name]
        if not self._walks:
            collection = OrderedCollection(self.database, name)
        if session is not None:
            collection = transactions.InTransaction(collection, session)
        return cast(Collection, collection)

    @property
    def _walks(self) -> bool:
        """Whether the server reads in the order of an index, rather than sort all that matches."""
        return self.deployment.judgement.has(trials.ORDER)

    def collection_names(self) -> list[str]:
        names = self.database.list_collection_names()
        internal = ("system.", tailable.COLLECTION, judgement.COLLECTION, trials.PREFIX)
        return sorted(name for name in names if not name.startswith(internal))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Group reads and writes, for this thread; see `Store.transaction`.

        Two transactions that write the same document do not wait for each other: one of them ends
        with an error labelled `TransientTransactionError`. See `rocketjob.store.atomically`.
        """
        present = getattr(self._local, "session", None)
        if present is not None or not self.supports_transactions:
            yield present
            return
        with self.client.start_session() as session:
            transactions.begin(session)
            self._local.session = session
            try:
                yield session
            except BaseException:
                transactions.abort(session)
                raise
            finally:
                self._local.session = None
            transactions.commit(session)

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
        documents: Any = self.collection(collection)
        claim = groups.claim_many if self._walks else self._front.claim_many
        return claim(documents, filter, update, sort=sort, limit=limit, session=session)

    def write_many(
        self, collection: str, writes: Sequence[Write], *, session: Any = None
    ) -> list[bool]:
        """Write in a message for each kind; if some did not match they are made one by one.

        A group in a message says how many matched, not which. So it is a transaction, given up
        and made singly when one is missing.
        """
        documents: Any = self.collection(collection)
        session = session or getattr(self._local, "session", None)
        if session is not None:
            return groups.write_in_transaction(documents, writes, session)
        grouped = len(writes) > 1 and self.supports_transactions
        if grouped and self._write_at_once(collection, writes):
            return [True] * len(writes)
        if not self.supports_transactions and (removals := groups.removed_together(writes)):
            return self._write_apart(collection, writes, removals)
        return [self._write_one(collection, write) for write in writes]

    def _write_apart(
        self, collection: str, writes: Sequence[Write], removals: Sequence[Filter]
    ) -> list[bool]:
        """Make all removals in one, and the other writes one by one, without a transaction."""
        documents: Any = self.collection(collection)
        remove = functools.partial(self._outbox.remove, collection)
        removed = iter(groups.remove_apart(documents, removals, remove))
        return [
            next(removed) if write.update is None else groups.write_one(documents, write)
            for write in writes
        ]

    def _write_at_once(self, collection: str, writes: Sequence[Write]) -> bool:
        try:
            with self.transaction():
                if not groups.write_all(self.collection(collection), writes):
                    raise _SomeDidNotMatch
        except Exception as error:
            # Of a transaction that was given up nothing is stored; single writes do not conflict.
            if isinstance(error, _SomeDidNotMatch) or is_conflict(error):
                return False
            raise
        return True

    def _write_one(self, collection: str, write: Write) -> bool:
        if write.update is None and not self.supports_transactions:
            return self._outbox.remove(collection, write.filter)
        return groups.write_one(self.collection(collection), write)

    def commit(self, units: Units) -> list[Committed]:
        """Store units in one transaction, or one after the other with an outbox."""
        if self.supports_transactions:
            return commit_in_transaction(self, units)
        return self._outbox.commit(units)

    def recover(self, collection: str | None = None, filter: Filter | None = None) -> int:
        """Finish what processes that died have left in the outbox."""
        return 0 if self.supports_transactions else self._outbox.recover(collection, filter)

    def lease(self, key: str) -> AbstractContextManager[Lease]:
        """Keep others out of a block: a lease, where transactions do not do it."""
        if self.supports_transactions:
            return contextlib.nullcontext(NOT_NEEDED)
        return lease(self.collection(PROBED), key)

    def indexes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the indexes of the outbox, where there is one."""
        return {} if self.supports_transactions else self._outbox.indexes()

    def count_by(self, collection: str, key: str, filter: Filter | None = None) -> dict[Any, int]:
        documents: Any = self.collection(collection)
        stages = [{"$match": dict(filter or {})}, {"$group": {"_id": f"${key}", "n": {"$sum": 1}}}]
        counts: dict[Any, int] = {}
        for group in documents.aggregate(stages):
            scalar = group["_id"] if isinstance(group["_id"], Hashable) else None
            counts[scalar] = counts.get(scalar, 0) + group["n"]
        return counts

    def count_by_range(
        self, collection: str, key: str, *, start: int, width: int, ranges: int
    ) -> dict[tuple[int, Any], Counted]:
        documents: Any = self.collection(collection)
        place = {"$floor": {"$divide": [{"$subtract": ["$_id", start]}, width]}}
        group = {"_id": {"range": place, "key": f"${key}"}, "n": {"$sum": 1}}
        group |= {"lowest": {"$min": "$_id"}, "highest": {"$max": "$_id"}}
        within = {"$gte": start, "$lt": start + width * ranges}
        stages = [{"$match": {"_id": within}}, {"$group": group}]
        hint = {"hint": name} if (name := _covering(documents, key)) else {}
        counts: dict[tuple[int, Any], Counted] = {}
        for found in documents.aggregate(stages, **hint):
            value = found["_id"].get("key")
            where = int(found["_id"]["range"]), value if isinstance(value, Hashable) else None
            some, known = Counted(found["n"], found["lowest"], found["highest"]), counts.get(where)
            counts[where] = some if known is None else known.and_more(some)
        return counts

    # --- changes -----------------------------------------------------------------------------

    def change_mark(self) -> Any:
        return self._changes.count

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: Interrupt | None = None
    ) -> bool:
        return self._changes.wait(mark, timeout, interrupt)

    def written(self) -> None:
        """Note that this process has written something, where others are to be told."""
        if isinstance(self._changes, tailable.Tailable):
            self._changes.note()

    # --- health ------------------------------------------------------------------------------

    def is_transient(self, error: BaseException) -> bool:
        return failures.is_transient(error)

    def check(self) -> dict[str, Any]:
        info = self.client.admin.command("buildInfo")
        findings: dict[str, Any] = {
            "store": "MongoDB",
            "server_version": info.get("version"),
            "database": self.database.name,
            "deployment": self.deployment.describe(),
            "transactions": self.supports_transactions,
            "wake-up": WAKE_UP_NAMES.get(self.wake_up, self.wake_up),
            "write concern": self.client.write_concern.document.get("w", "default"),
        }
        with contextlib.suppress(Exception):
            findings["bytes"] = int(self.database.command("dbStats").get("dataSize", 0))
        return findings


class _SomeDidNotMatch(Exception):
    """Some writes of a group matched nothing."""


def _after_fork() -> None:
    for store in list(_stores):
        store._renew()


os.register_at_fork(after_in_child=_after_fork)


def _covering(documents: Any, key: str) -> str | None:
    """Return the index that has a field and `_id`: else all documents would be read."""
    wanted = [(key, 1), ("_id", 1)]
    for name, index in documents.index_information().items():
        if index["key"] == wanted and "partialFilterExpression" not in index:
            return str(name)
    return None
