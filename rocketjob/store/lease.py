"""Being the only one: in a block, where transactions do not see to that, or at a recurring task."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import is_duplicate_key
from rocketjob.store.port import Collection, Lease

DURATION = timedelta(seconds=10)  # far longer than a claim takes; after it the turn is another's
LONGEST_TURN = timedelta(minutes=5)
PATIENCE_SECONDS = 2.0  # then the caller comes again later
LOOK_SECONDS = (0.005, 0.05)


class _NotNeeded:
    """The lease where transactions keep the others out."""

    mine = True

    def lasts(self) -> bool:
        return True


NOT_NEEDED: Lease = _NotNeeded()


class _Held:
    def __init__(self, leases: Collection, key: str) -> None:
        self._leases, self._key, self._me = leases, key, ObjectId()
        self._mine: bool | None = None

    @property
    def mine(self) -> bool:
        if self._mine is None:
            self._mine = self._wait()
        return self._mine

    def lasts(self) -> bool:
        # No clock is asked: whoever took it over comes after what was written before this look.
        me = {"_id": self._key, "by": self._me}
        return self.mine and self._leases.find_one(me, {"_id": 1}) is not None

    def end(self) -> None:
        if self._mine:
            me = {"_id": self._key, "by": self._me}
            self._leases.update_one(me, {"$unset": {"by": "", "until": ""}})

    def _wait(self) -> bool:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (mine := _take(self._leases, self._key, self._me)) and time.monotonic() < until:
            time.sleep(random.uniform(*LOOK_SECONDS))
        return mine


@contextlib.contextmanager
def lease(leases: Collection, key: str) -> Iterator[Lease]:
    """Hold the lease of a key for a block, as `Store.lease` does, from when it is first asked for.

    Args:
        leases: where they are stored.
    """
    held = _Held(leases, key)
    try:
        yield held
    finally:
        held.end()


class Turns:
    """Whose turn it is to do what is done for all processes now and then: one does, the rest wait.

    Args:
        turns: where that is stored.
        key: what is to be done.
        every: from one begin to the next.
        longest: after so long somebody who is still at it is taken for dead.
    """

    def __init__(
        self, turns: Collection, key: str, every: timedelta, longest: timedelta = LONGEST_TURN
    ) -> None:
        self._turns, self._key, self._me = turns, key, ObjectId()
        self._every, self._longest = every, longest
        self._next = clock.now()

    def take(self) -> bool:
        """Return whether it is this caller's turn now; then it calls `end` when it is done."""
        now = clock.now()
        # None is so far ahead but by a clock that was.
        ahead = {"$gt": now + self._longest + self._every}
        due = {"$or": [{"until": {"$lte": now}}, {"until": ahead}]}
        stored = self._turns.find_one({"_id": self._key}, {"until": 1})
        self._next = now + self._every
        mine = {"by": self._me, "until": now + self._longest}
        if stored is None:
            return self._is_first(mine)
        return bool(self._turns.update_one({"_id": self._key, **due}, {"$set": mine}).matched_count)

    def _is_first(self, mine: dict[str, Any]) -> bool:
        try:
            self._turns.insert_one({"_id": self._key, **mine})
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            return False
        return True

    def end(self) -> None:
        """Let whoever comes first have the next turn, when that is due."""
        mine = {"_id": self._key, "by": self._me}
        self._turns.update_one(mine, {"$set": {"until": self._next}})


def _take(leases: Collection, key: str, me: ObjectId) -> bool:
    now = clock.now()
    free = {"_id": key, "$or": [{"by": None}, {"until": {"$lte": now}}]}
    try:
        result = leases.update_one(free, {"$set": {"by": me, "until": now + DURATION}}, upsert=True)
    except Exception as error:
        if not is_duplicate_key(error):
            raise
        return False
    return bool(result.matched_count or result.upserted_id is not None)
