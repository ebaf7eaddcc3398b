"""Being the only one in a block: for a store without transactions, a lease that ends by itself."""

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
PATIENCE_SECONDS = 2.0  # then the caller comes again later
LOOK_SECONDS = (0.005, 0.05)


class _NotNeeded:
    """The lease where transactions keep the others out."""

    mine = True

    def lasts(self) -> bool:
        return True


NOT_NEEDED: Lease = _NotNeeded()


class _Held:
    def __init__(self, leases: Collection, key: str, mine: bool, me: Any) -> None:
        self._leases, self._key, self.mine, self._me = leases, key, mine, me

    def lasts(self) -> bool:
        # No clock is asked: whoever took it over comes after what was written before this look.
        return self.mine and (
            self._leases.find_one({"_id": self._key, "by": self._me}, {"_id": 1}) is not None
        )


@contextlib.contextmanager
def lease(leases: Collection, key: str) -> Iterator[Lease]:
    """Hold the lease of a key for a block, as `Store.lease` does.

    Args:
        leases: where they are stored.
    """
    me, until = ObjectId(), time.monotonic() + PATIENCE_SECONDS
    while not (mine := _take(leases, key, me)) and time.monotonic() < until:
        time.sleep(random.uniform(*LOOK_SECONDS))
    try:
        yield _Held(leases, key, mine, me)
    finally:
        if mine:
            leases.update_one({"_id": key, "by": me}, {"$unset": {"by": "", "until": ""}})


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
