"""Limits: rules such as "at most n of these at once", kept in the same step that claims.

A limit is never a counter. It is evaluated from what is stored, under the transaction of the claim
itself, so that it can be exceeded by nobody, and so that nothing leaks when a process is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.errors import is_conflict, is_duplicate_key
from rocketjob.jobs import claims
from rocketjob.jobs.claims import COLLECTION as JOBS
from rocketjob.jobs.limit import COLLECTION as COLLECTION
from rocketjob.jobs.limit import Limit as Limit
from rocketjob.store import Filter, Lease, Store, Stored, atomically
from rocketjob.store.lease import NOT_NEEDED

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

PAGE = 50  # look at no fewer jobs at a time: the first may all be blocked
MOST_BLOCKED = 1000  # look no further past so many limits in one claim


class Blocked:
    """The queued jobs that wait for a limit, as a filter that stays small.

    Most differ in one value only, such as the account whose jobs they are: those become one clause.
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[dict[str, Any], str, list[Any]]] = {}
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, blocks: Filter) -> bool:
        """Add some jobs; return False if they are among those already."""
        text = repr(blocks)
        if text in self._seen:
            return False
        self._seen.add(text)
        *rest, (last, value) = blocks.items() or [("_id", {"$exists": True})]
        single = not isinstance(value, Mapping)
        group = repr((rest, last)) if single else text
        self._values.setdefault(group, (dict(rest), last, []))[2].append(value)
        return True

    def filters(self) -> list[Filter]:
        return [
            {**rest, last: values[0] if len(values) == 1 else {"$in": values}}
            for rest, last, values in self._values.values()
        ]


@attrs.define(eq=False)
class LimitedClaim:
    """One claim in which some jobs are subject to limits."""

    store: Store
    filter: Filter
    update: Mapping[str, Any]
    sort: Sequence[tuple[str, int]]
    now: datetime
    load: Callable[[Stored], Job]
    _session: Any = None
    _blocked: Blocked = attrs.field(factory=Blocked)
    _lease: Lease = NOT_NEEDED
    _is_late: bool = False

    def run(self, count: int) -> list[Stored]:
        """Claim up to `count` jobs whose limits have a place; return them as they are then."""
        jobs = self.store.collection(JOBS)
        if jobs.find_one(self.filter, {"_id": 1}) is None:
            return []  # nothing to claim: take no lock
        with self.store.lease("claims") as self._lease:
            if not self._lease.mine:
                return []
            return atomically(self.store, lambda session: self._step(count, session), repeat=met)

    def _step(self, count: int, session: Any) -> list[Stored]:
        self._session, self._blocked, self._is_late = session, Blocked(), False
        jobs = self.store.collection(JOBS)
        claimed: list[Stored] = []
        while len(claimed) < count and len(self._blocked) < MOST_BLOCKED and not self._is_late:
            before = len(claimed), len(self._blocked)
            found = jobs.find(
                self._where(),
                sort=self.sort,
                limit=max(count - len(claimed), PAGE),
                session=session,
            )
            self._claim_some(list(found), count, claimed)
            if (len(claimed), len(self._blocked)) == before:
                break
        return claimed

    def _claim_some(self, found: list[Stored], count: int, claimed: list[Stored]) -> None:
        """Claim in order; what is subject to no limit goes together."""
        free: list[Any] = []
        for stored in found:
            if len(claimed) + len(free) >= count or self._is_late:
                break
            limits = self._limits(stored)
            if not limits:
                free.append(stored["_id"])
                continue
            claimed += self._claim(free)  # first: it may count for the limits
            free = []
            if self._admits(stored, limits):
                claimed += self._claim_limited(stored, limits)
        claimed += self._claim(free)

    def _claim_limited(self, stored: Stored, limits: Sequence[Limit]) -> list[Stored]:
        claimed = self._claim([stored["_id"]])
        for limit in limits if claimed else ():
            limit.take(self.store, self.now, self._session)
        if claimed and not self._lease.lasts():  # another one may have taken the place as well
            self._is_late = True
            self._give_back(claimed[0])
            return []
        return claimed

    def _give_back(self, stored: Stored) -> None:
        self.store.write_many(JOBS, [claims.give_back(stored)])

    def _limits(self, stored: Stored) -> Sequence[Limit]:
        try:
            return self.load(stored).claim_limits()
        except Exception:
            return ()  # it cannot be loaded: whoever claims it says so, and fails it

    def _claim(self, ids: list[Any]) -> list[Stored]:
        if not ids:
            return []
        return self.store.claim_many(
            JOBS,
            {"_id": {"$in": ids}, "state": "queued"},
            self.update,
            sort=self.sort,
            limit=len(ids),
            session=self._session,
        )

    def _admits(self, stored: Stored, limits: Sequence[Limit]) -> bool:
        for limit in limits:
            if limit.free(self.store, self.now, self._session) <= 0:
                if self._blocked.add(limit.blocks):
                    self._note(stored, limit)
                return False
        return True

    def _where(self) -> Filter:
        blocked = self._blocked.filters()
        return {"$and": [self.filter, {"$nor": blocked}]} if blocked else self.filter

    def _note(self, stored: Stored, limit: Limit) -> None:
        """Store on the job at the head why it waits, if it does not say so already."""
        note = self.load(stored).waiting_note(limit.name, self.now)
        if note:
            self.store.collection(JOBS).update_one(
                {"_id": stored["_id"], "state": "queued"}, {"$set": note}, session=self._session
            )


def met(error: BaseException) -> bool:
    """Tell whether two claims under the same limit met, so that one is to be made again."""
    return is_conflict(error) or is_duplicate_key(error)  # both wanted to store the limit's turn
