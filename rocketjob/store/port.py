"""The store port: what the kernel needs of a database, and nothing more.

A `Collection` is the part of pymongo's `Collection` that the kernel uses, in Mongo's filter and
update language, so that pymongo's own collections satisfy it as they are. A `Store` adds what a
collection cannot have: units of work, groups of writes and waiting for a change.

Nobody but a store asks whether there are transactions. All others hand it a **unit**
(`rocketjob.store.unit`): a guarded write, and what is stored with it. What a store has to do:

* `commit`: the guarded write of a unit decides. Where its filter matches, all of the unit is
  stored, else nothing of it; the answer says which. Nobody sees a part of it, and if the process
  dies at any moment, all of it is stored in the end or nothing. The exception is a unit without
  a guarded write on a store without transactions: nothing could say that it was begun. Its
  inserts are made in turn. An error removes those before it; but others see each at once, and
  a process that dies on the way leaves the first ones stored.
* `recover`: finish what processes that died have left in between. Where `commit` is one
  transaction nothing is ever left.
* `lease`: let one caller at a time evaluate a limit, where transactions do not see to that.
* `indexes`: what its own bookkeeping needs.

A store with transactions derives from `rocketjob.store.transacted.Transacted`, which does these
four. One without has an `Outbox` and uses `rocketjob.store.lease`. What is
visible for a moment there is what the unit says: `interim`, `hidden`. A unit that is one write
must cost one write. `rocketjob.testing.store_contract` checks this with a store that dies at every
write.

Documents are plain dicts in BSON types, times are timezone-aware UTC with milliseconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from rocketjob.base.backoff import Backoff
from rocketjob.base.errors import is_conflict, is_given_up
from rocketjob.base.interrupt import Interrupt
from rocketjob.store.capabilities import Capabilities
from rocketjob.store.unit import Committed, Filter, Stored, Units, Update, Write

T = TypeVar("T")

Sort = Sequence[tuple[str, int]]

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024  # MongoDB's limit, kept by every store


class InsertOneResult(Protocol):
    @property
    def inserted_id(self) -> Any: ...


class InsertManyResult(Protocol):
    @property
    def inserted_ids(self) -> list[Any]: ...


class UpdateResult(Protocol):
    @property
    def matched_count(self) -> int: ...
    @property
    def modified_count(self) -> int: ...
    @property
    def upserted_id(self) -> Any: ...


class DeleteResult(Protocol):
    @property
    def deleted_count(self) -> int: ...


class Collection(Protocol):
    """The part of `pymongo.collection.Collection` that the kernel needs.

    `session` is what `Store.transaction` yields. A unique index that refuses a write raises an
    error whose `code` is 11000 (see `errors.is_duplicate_key`).
    """

    @property
    def name(self) -> str: ...

    def insert_one(self, document: Stored, *, session: Any = None) -> InsertOneResult: ...

    def insert_many(
        self, documents: Iterable[Stored], ordered: bool = True, *, session: Any = None
    ) -> InsertManyResult: ...

    def find(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        *,
        sort: Sort | None = None,
        skip: int = 0,
        limit: int = 0,
        session: Any = None,
    ) -> Iterator[Stored]: ...

    def find_one(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        *,
        sort: Sort | None = None,
        session: Any = None,
    ) -> Stored | None: ...

    def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        *,
        sort: Sort | None = None,
        upsert: bool = False,
        return_document: bool = False,
        session: Any = None,
    ) -> Stored | None: ...

    def update_one(
        self, filter: Filter, update: Update, upsert: bool = False, *, session: Any = None
    ) -> UpdateResult: ...

    def update_many(
        self, filter: Filter, update: Update, *, session: Any = None
    ) -> UpdateResult: ...

    def delete_one(self, filter: Filter, *, session: Any = None) -> DeleteResult: ...

    def delete_many(self, filter: Filter, *, session: Any = None) -> DeleteResult: ...

    def count_documents(self, filter: Filter, *, limit: int = ..., session: Any = None) -> int:
        """Count the matching documents; with a `limit` of 1 or more, at most so many."""
        ...

    def distinct(
        self, key: str, filter: Filter | None = None, *, session: Any = None
    ) -> list[Any]: ...

    def create_index(
        self,
        keys: Sort,
        *,
        name: str,
        unique: bool = False,
        partialFilterExpression: Filter | None = None,  # noqa: N803, RUF100 (pymongo's spelling)
    ) -> str: ...

    def index_information(self) -> Mapping[str, Any]:
        """Return the indexes by name; each has `key`, a list of (field, 1 or -1)."""
        ...

    def drop_index(self, name: str) -> None: ...

    def drop(self) -> None: ...


class Counted(NamedTuple):
    """How many documents there are of one kind, and the lowest and highest of their `_id`s."""

    number: int
    lowest: Any
    highest: Any

    def and_more(self, more: Counted) -> Counted:
        """Return both together."""
        lowest, highest = min(self.lowest, more.lowest), max(self.highest, more.highest)
        return Counted(self.number + more.number, lowest, highest)


class Lease(Protocol):
    """What a caller of `Store.lease` has got."""

    @property
    def mine(self) -> bool:
        """Whether the caller is the one; else it does nothing.

        Only who asks this takes the lease, so that a block that finds nothing to do writes nothing.
        What was read before is to be read again.
        """
        ...

    def lasts(self) -> bool:
        """Look again: a lease ends by itself. What was written before a True is within it."""
        ...


@runtime_checkable
class Store(Protocol):
    """A database that keeps documents. Plugins bring them: see the hook `open_store`."""

    @property
    def url(self) -> str:
        """Where the store is, without any password."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. Only stores ask it of transactions: all others use `commit`."""
        ...

    def collection(self, name: str) -> Collection:
        """Return a collection; it need not exist yet."""
        ...

    def collection_names(self) -> list[str]:
        """Name the collections that exist, sorted."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """Group reads and writes: all are stored at the end of the block, or none.

        Yields the `session` to hand to the calls that belong to it. A block within a block joins
        the outer one. Without transactions the writes are simply made one after the other.
        """
        ...

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
        """Update the first `limit` documents that match and return them as they are afterwards.

        No document can be given to two callers, whatever runs at the same time. Where others claim
        at that moment it may be fewer, but none only where nothing matches. Then nothing is
        written, so that an idle caller wakes nobody.
        """
        ...

    def write_many(
        self, collection: str, writes: Sequence[Write], *, session: Any = None
    ) -> list[bool]:
        """Make a group of guarded writes in one go, and say of each whether its filter matched."""
        ...

    def commit(self, units: Units) -> list[Committed]:
        """Store units, each as a whole or not at all, and say what became of each.

        With transactions all units of a call are stored in one, and an error means that nothing
        was. Without, each is stored by itself, in the order given.

        Args:
            units: or what returns them: it is called within the step, must read what it decides
                on, and may be called again.

        Raises:
            Exception: what `check` raised, or the refusal of an insert that is not optional.
        """
        ...

    def recover(self, collection: str | None = None, filter: Filter | None = None) -> int:
        """Finish units that processes began and did not live to finish; return how many.

        Args:
            collection: only units whose guarded write is of a document in this collection that
                `filter` matches, and these at once: their processes are known to be gone. Without
                it all that are older than any living process needs: every server's sweep asks so.
        """
        ...

    def lease(self, key: str) -> AbstractContextManager[Lease]:
        """Keep others with the same key out of a block, where transactions do not do it.

        Whoever got none in time is to come again later; see `Lease`.
        """
        ...

    def indexes(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the indexes that the store itself needs, by collection: for `create_index`."""
        ...

    def count_by(self, collection: str, key: str, filter: Filter | None = None) -> dict[Any, int]:
        """Count the documents by the value of one field; only values that occur are named.

        None stands for no value, or for one that cannot be a key, such as an array: one document
        that something else has written keeps nobody from counting.
        """
        ...

    def count_by_range(
        self, collection: str, key: str, *, start: int, width: int, ranges: int
    ) -> dict[tuple[int, Any], Counted]:
        """Count the documents by the range that their `_id` is in, and by the value of one field.

        The ranges lie side by side: `_id`s from `start` on, `width` of them each. What is in none
        of them, or has an `_id` that is no number, is not counted. With an index on the field and
        `_id` no document is read.

        Returns:
            by the number of the range, from 0, and the value as `count_by` names it.
        """
        ...

    def change_mark(self) -> Any:
        """Return a mark of the store's present contents, for `wait_for_change`."""
        ...

    def wait_for_change(
        self, mark: Any, timeout: float, interrupt: Interrupt | None = None
    ) -> bool:
        """Wait until something was written since `mark`, by whichever process.

        Returns:
            True as soon as there was a change, False after `timeout` seconds or as soon as
            `interrupt` is set. A True may be spurious; a change is never missed.
        """
        ...

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the same call may succeed later: locked, stepping down, out of reach."""
        ...

    def check(self) -> dict[str, Any]:
        """Report what a person needs to know about the store's health: version, size, settings."""
        ...

    def close(self) -> None:
        """Release connections. A closed store opens itself again when it is used."""
        ...


def is_new(store: Store) -> bool:
    """Return whether this process has just made the store; those on a server do not say."""
    return bool(getattr(store, "is_new", False))


ATTEMPTS = 12
BACK_OFF = (0.007, 0.7)  # seconds: the first and the longest wait for another transaction
_inside = threading.local()


def atomically(
    store: Store,
    step: Callable[[Any], T],
    *,
    repeat: Callable[[BaseException], bool] = is_conflict,
) -> T:
    """Run a step in a transaction, and again if another transaction was in its way.

    The step gets the session, and must read what it decides on, so that it can be run again. In a
    step that is under way this one joins it, and it is for the outer one to be run again.

    Args:
        repeat: tells of an error whether to run the step again; nothing of it was stored.
    """
    held: set[int] = _inside.__dict__.setdefault("stores", set())
    if id(store) in held:
        with store.transaction() as session:
            return step(session)
    held.add(id(store))
    try:
        return _repeatedly(store, step, repeat)
    finally:
        held.discard(id(store))


def insistently(write: Callable[[], T]) -> T:
    """Make a single write, and again if it met another one and was given up.

    Within `atomically` it is for that to run again: the transaction is gone.
    """
    pauses, attempts = Backoff(*BACK_OFF), 1 if _inside.__dict__.get("stores") else ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return write()
        except Exception as error:
            if attempt == attempts or not is_given_up(error):
                raise
        time.sleep(pauses.next())
    raise AssertionError("unreachable")


def _repeatedly(
    store: Store, step: Callable[[Any], T], repeat: Callable[[BaseException], bool]
) -> T:
    pauses = Backoff(*BACK_OFF)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with store.transaction() as session:
                return step(session)
        except Exception as error:
            if attempt == ATTEMPTS or not repeat(error):
                raise
        time.sleep(pauses.next())
    raise AssertionError("unreachable")
