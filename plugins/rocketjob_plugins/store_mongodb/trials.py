"""What RocketJob rests on, tried on a server with a collection of its own that is then dropped.

Each trial is a function of a `Ground`. It raises `Lacking` with the reason where the server does
otherwise than MongoDB; any other error that does not pass means the same, in the server's words.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import attrs
from bson import ObjectId

from rocketjob.base.errors import is_duplicate_key
from rocketjob.store.indexes import unique_while
from rocketjob_plugins.store_mongodb import failures, tailable, transactions

T = TypeVar("T")

PREFIX = "rocket_job.trial."
CONNECTIONS = 4  # at once; where claims are not atomic, two collide almost at the first document
DOCUMENTS = 8
ROUNDS = 4
MEETING_SECONDS = 0.5  # for which one transaction waits for the other to have read
EVENT_SECONDS = 2.0  # within which a change stream that works has told of a write
LEFT_BEHIND_SECONDS = 3600  # older collections of trials belong to processes that died in one
SORTING = frozenset({"SORT", "Sort", "Incremental Sort"})
MAY_NOT = "the user may not do this"


class Lacking(Exception):
    """The server does not do what was tried; the message says what it did instead."""


class Ground:
    """Where trials take place: a collection of a name that nobody else has.

    Args:
        database: of a client with at least `CONNECTIONS` connections.
    """

    def __init__(self, database: Any) -> None:
        from pymongo import WriteConcern

        self.database, self.name = database, f"{PREFIX}{ObjectId()}"
        # Whether one writer excludes another is decided by the primary, and needs no majority.
        self.documents = database[self.name].with_options(write_concern=WriteConcern(1))
        self.keys = database[self.name + ".keys"].with_options(write_concern=WriteConcern(1))
        self.capped = self.name + ".capped"
        self._threads = ThreadPoolExecutor(CONNECTIONS)

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        with contextlib.suppress(Exception):  # it is dropped by a later trial
            for name in (self.name, self.keys.name, self.capped):
                self.database.drop_collection(name)
            self._drop_left_behind()

    def connect(self) -> None:
        """Let each thread have its connection, so that those who begin together meet."""
        self.at_once(lambda _: self.database.command("ping"))

    def at_once(self, step: Callable[[int], T], threads: int = CONNECTIONS) -> list[T]:
        """Run a step in several threads that begin together; return what each did."""
        start = threading.Barrier(threads)

        def run(number: int) -> T:
            start.wait()
            return step(number)

        return list(self._threads.map(run, range(threads)))

    def _drop_left_behind(self) -> None:
        for name in self.database.list_collection_names(filter={"name": {"$regex": f"^{PREFIX}"}}):
            id = name.removeprefix(PREFIX).partition(".")[0]
            made = ObjectId(id).generation_time.timestamp() if ObjectId.is_valid(id) else 0
            if made < time.time() - LEFT_BEHIND_SECONDS:
                self.database.drop_collection(name)


@attrs.frozen
class Trial:
    """One thing that is tried.

    Attributes:
        name: as people read it.
        run: raises if the server does not do it.
        otherwise: what is done where it is lacking; None: the server cannot be used.
    """

    name: str
    run: Callable[[Ground], None]
    otherwise: str | None = None

    def reason(self, ground: Ground) -> str | None:
        """Return why this is lacking, or None.

        Raises:
            PyMongoError: the server cannot be reached now, or the user may not do this.
        """
        from pymongo.errors import PyMongoError

        try:
            self.run(ground)
        except Lacking as error:
            return str(error)
        except PyMongoError as error:
            may_not = failures.UNAUTHORIZED in failures.codes(error)
            if failures.is_transient(error) or (may_not and self.otherwise is None):
                raise  # that says nothing of what the server can do
            return f"{MAY_NOT if may_not else 'it says'}: {failures.reason(error)}"
        return None


def claim(ground: Ground) -> None:
    """Give each document to one of several claimers, by `findAndModify`."""
    docs = ground.documents
    docs.insert_many([{"_id": number, "claim": "queued"} for number in range(DOCUMENTS)])

    def take(_: int) -> list[Any]:
        mine: list[Any] = []
        while len(mine) <= DOCUMENTS:
            found = docs.find_one_and_update(
                {"claim": "queued"},
                {"$set": {"claim": "running"}},
                sort=[("_id", 1)],
                return_document=True,
            )
            if found is None:
                break
            mine.append(found["_id"])
        return mine

    _each_once([id for mine in ground.at_once(take) for id in mine])


def claim_group(ground: Ground) -> None:
    """Give each document to one of several claimers, by `update` with the claimer's name."""
    docs, ids = ground.documents, list(range(100, 100 + DOCUMENTS))
    docs.insert_many([{"_id": id, "group": "queued"} for id in ids])
    wanted = {"_id": {"$in": ids}, "group": "queued"}

    def take(number: int) -> tuple[int, list[Any]]:
        told = docs.update_many(wanted, {"$set": {"group": "running", "by": number}})
        return told.modified_count, [each["_id"] for each in docs.find({"by": number})]

    taken = ground.at_once(take)
    _each_once([id for _, mine in taken for id in mine])
    if (told := sum(count for count, _ in taken)) != DOCUMENTS:
        raise Lacking(f"it said of {DOCUMENTS} documents that {told} were updated")


def _each_once(taken: list[Any]) -> None:
    given = len(set(taken))
    if len(taken) > given:
        raise Lacking(f"it gave away {DOCUMENTS} documents {len(taken)} times")
    if given < DOCUMENTS:
        raise Lacking(f"of {DOCUMENTS} documents it gave away {given} to those who asked for all")


def guard(ground: Ground) -> None:
    """Let one of several guarded updates write, and tell each whether it has."""
    docs = ground.documents
    docs.insert_one({"_id": "guard", "turn": 0, "written": 0})

    def write(_: int) -> int:
        done = 0
        for turn in range(ROUNDS):
            update = {"$set": {"turn": turn + 1}, "$inc": {"written": 1}}
            done += docs.update_one({"_id": "guard", "turn": turn}, update).matched_count
        return done

    told = sum(ground.at_once(write))
    stored = docs.find_one({"_id": "guard"}) or {}
    if stored.get("written") != ROUNDS:
        raise Lacking(f"it made {stored.get('written')} of the {ROUNDS} updates that were due")
    if told != ROUNDS:
        raise Lacking(f"it told {told} writers that theirs was one of {ROUNDS} updates")


def increase(ground: Ground) -> None:
    """Lose no `$inc` of several at once."""
    docs = ground.documents
    docs.insert_one({"_id": "sum", "n": 0})

    def add(_: int) -> None:
        for _ in range(ROUNDS):
            docs.update_one({"_id": "sum"}, {"$inc": {"n": 1}})

    ground.at_once(add)
    n = (docs.find_one({"_id": "sum"}) or {}).get("n")
    if n != CONNECTIONS * ROUNDS:
        raise Lacking(f"of {CONNECTIONS * ROUNDS} additions it kept {n}")


def push(ground: Ground) -> None:
    """Keep the last members of an array, as histories do."""
    docs = ground.documents
    docs.insert_one({"_id": "push", "last": [1, 2, 3]})
    update = {"$push": {"last": {"$each": [4, 5], "$slice": -3}, "new": {"$each": [6]}}}
    docs.update_one({"_id": "push"}, update)
    stored = docs.find_one({"_id": "push"}) or {}
    if (stored.get("last"), stored.get("new")) != ([3, 4, 5], [6]):
        raise Lacking(f"of [1, 2, 3] and [4, 5] it kept {stored.get('last')} as the last three")


def unique(ground: Ground) -> None:
    """Let one of several insert a key."""
    keys = ground.keys
    keys.create_index([("unique", 1)], name="unique", unique=True)
    stored = ground.at_once(lambda _: [_is_stored(keys, {"unique": n}) for n in range(ROUNDS)])
    if (times := sum(map(sum, stored))) != ROUNDS:
        raise Lacking(f"{ROUNDS} unique keys were stored {times} times")


def partial(ground: Ground) -> None:
    """Let one document have a key while it is in some states, as Singleton and Cron do."""
    docs = ground.documents
    docs.create_index(**unique_while("key", ("paused", "queued", "running"), ()))
    tried: list[tuple[dict[str, Any], bool]] = [
        ({"key": 1, "state": "completed"}, True),
        ({"key": 1, "state": "completed"}, True),
        ({"state": "queued"}, True),
        ({"state": "queued"}, True),
        ({"key": 1, "state": "queued"}, True),
        ({"key": 1, "state": "running"}, False),
    ]
    for document, wanted in tried:
        if _is_stored(docs, document) != wanted:
            raise Lacking(f"it {'refused' if wanted else 'stored'} {document} beside the others")
    with contextlib.suppress(Exception):
        docs.update_one({"key": 1, "state": "completed"}, {"$set": {"state": "paused"}})
    if docs.count_documents({"key": 1, "state": {"$gte": "paused"}}) != 1:
        raise Lacking("an update made a key that was there already")


def _is_stored(documents: Any, document: dict[str, Any]) -> bool:
    for _ in range(CONNECTIONS):
        try:
            documents.insert_one(dict(document))
        except Exception as error:
            if failures.is_given_up(error):
                continue  # on PostgreSQL two who insert one key may wait for each other
            if not is_duplicate_key(error):
                raise
            return False
        return True
    raise Lacking(f"it gave up {CONNECTIONS} times whether {document} is there already")


def transact(ground: Ground) -> None:
    """Store all of a transaction or nothing, and let no two change what both have read."""
    docs = ground.database[ground.name]
    docs.insert_one({"_id": "balance", "n": 0})
    with ground.database.client.start_session() as session:
        transactions.begin(session)
        docs.insert_one({"_id": "given up"}, session=session)
        if docs.find_one({"_id": "given up"}) is not None:
            raise Lacking("others see what a transaction has not committed yet")
        session.abort_transaction()
    if docs.find_one({"_id": "given up"}) is not None:
        raise Lacking("what a transaction wrote stays when it is given up")
    both_have_read = threading.Barrier(2)
    committed = sum(ground.at_once(lambda _: _add_one(docs, both_have_read), threads=2))
    n = (docs.find_one({"_id": "balance"}) or {}).get("n")
    if n != committed or not committed:
        raise Lacking(f"{committed} transactions added 1, and the sum is {n}")


def _add_one(docs: Any, both_have_read: threading.Barrier) -> bool:
    """Read and write in a transaction; return whether that was committed."""
    from pymongo.errors import PyMongoError

    with docs.database.client.start_session() as session:
        transactions.begin(session)
        try:
            n = docs.find_one({"_id": "balance"}, session=session)["n"]
            with contextlib.suppress(threading.BrokenBarrierError):  # the other waits for this one
                both_have_read.wait(MEETING_SECONDS)
            docs.update_one({"_id": "balance"}, {"$set": {"n": n + 1}}, session=session)
            transactions.commit(session)
        except PyMongoError as error:
            transactions.abort(session)
            if not failures.is_transient(error):
                raise
            return False
    return True


def watch(ground: Ground) -> None:
    """Tell of a write by a change stream."""
    with ground.database.watch([{"$project": {"_id": 1}}], max_await_time_ms=20) as stream:
        ground.documents.insert_one({"_id": "seen"})
        end = time.monotonic() + EVENT_SECONDS
        while stream.try_next() is None:
            if time.monotonic() > end:
                raise Lacking("a change stream told nothing of a write")


def tail(ground: Ground) -> None:
    """Keep a cursor open at the end of a capped collection."""
    if not tailable.can_tail(ground.database, ground.capped):
        raise Lacking("a cursor does not stay open at the end of a capped collection")


def order(ground: Ground) -> None:
    """Walk an index in the order that is asked for, rather than sort all that matches."""
    docs = ground.documents
    docs.create_index([("kind", 1), ("n", 1)], name="order")
    docs.insert_many([{"kind": "order", "n": number} for number in range(DOCUMENTS)])
    plan = docs.find({"kind": "order"}).sort([("n", 1)]).limit(1).explain()
    if _sorts(plan.get("queryPlanner", plan)):
        raise Lacking("it sorts all that matches, though an index has the order")


def _sorts(plan: Any) -> bool:
    """Return whether a step of a plan is to sort: MongoDB calls it a stage, PostgreSQL a node."""
    if isinstance(plan, Mapping):
        steps = {plan.get("stage"), plan.get("Node Type")}
        parts = [part for name, part in plan.items() if name != "rejectedPlans"]
        return not steps.isdisjoint(SORTING) or any(map(_sorts, parts))
    return isinstance(plan, list) and any(map(_sorts, plan))


TRANSACTIONS = "transactions"
ORDER = "claims in the order of an index"
CHANGE_STREAMS = "change streams"
TAILABLE = "tailable cursors"
TRIALS = (
    Trial("claims by several at once", claim),
    Trial("claims in groups", claim_group),
    Trial("guarded updates", guard),
    Trial("$inc", increase),
    Trial("$push with $slice", push),
    Trial("unique indexes", unique),
    Trial("unique partial indexes", partial),
    Trial(ORDER, order, "claims look at the first thousand, and now and then at all"),
    Trial(TRANSACTIONS, transact, "what belongs together is written in steps that can be resumed"),
    Trial(CHANGE_STREAMS, watch, "idle workers are woken in another way"),
    Trial(TAILABLE, tail, "idle workers are woken in another way"),
)
