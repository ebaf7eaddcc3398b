"""Limits: rules such as "at most n of these at once", kept in the same step that claims.

A limit is never a counter. It is evaluated from what is stored, under the transaction of the claim
itself, so that it can be exceeded by nobody, and so that nothing leaks when a process is killed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.errors import is_conflict, is_duplicate_key
from rocketjob.jobs import claims, holds
from rocketjob.jobs.claims import COLLECTION as JOBS
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.limit import COLLECTION as COLLECTION
from rocketjob.jobs.limit import Limit as Limit
from rocketjob.queue.place import Place, behind, place_of
from rocketjob.store import Filter, Lease, Store, Stored, atomically
from rocketjob.store.lease import NOT_NEEDED

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

PAGE = 50  # look at no fewer jobs at a time: the first may all be blocked
STEP = 500  # look past this many jobs in one step, so that others can write in between
MOST_FILTERS = 1000  # leave out the jobs of this many limits; those of others are read and skipped


class Blocked:
    """The queued jobs that wait for a limit, as a filter that stays small.

    Most differ in one value only, such as the account whose jobs they are: those become one clause.

    Args:
        most: how many of those that are added become part of the filter; None: all.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self._values: dict[str, tuple[dict[str, Any], str, list[Any]]] = {}
        self._seen: set[str] = set()

    def add(self, blocks: Filter) -> bool:
        """Add some jobs; return False if they are among those already."""
        text = repr(blocks)
        if text in self._seen:
            return False
        self._seen.add(text)
        if self.most is not None and len(self._seen) > self.most:
            return True
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


def limits_of(job: Job) -> Sequence[Limit]:
    """Return the limits that a job is subject to.

    Raises:
        TypeError: its method returned something else.
    """
    limits = job.claim_limits()
    if not isinstance(limits, list | tuple) or not all(
        isinstance(limit, Limit) for limit in limits
    ):
        raise TypeError(f"claim_limits must return a list of Limit, not {limits!r}")
    return limits


class LimitFailed(Exception):
    """Carries the error of a limit out of a step that is to be made again without the job."""

    def __init__(self, stored: Stored, error: BaseException) -> None:
        super().__init__(str(error))
        self.stored, self.error = stored, error


class ClaimRefused(Exception):
    """Carries an error of the store, and the ids of the jobs that were to be claimed."""

    def __init__(self, ids: Sequence[Any], error: Exception) -> None:
        super().__init__(str(error))
        self.ids, self.error = ids, error


@attrs.define
class Seen:
    """How far a claim has looked, and what it has learnt on the way.

    Attributes:
        last: priority and id of the last job that was looked at; None at the head.
        passed: how many jobs were looked at and left where they are.
        at_end: whether no job is left behind the last.
        blocked: the jobs of the first limits that were found full.
        full: all limits that were found full, by what tells them apart.
        counted: the running jobs that hold the places of those.
    """

    last: Place | None = None
    passed: int = 0
    at_end: bool = False
    blocked: Blocked = attrs.field(factory=lambda: Blocked(MOST_FILTERS))
    full: set[Any] = attrs.field(factory=set)
    counted: Blocked = attrs.field(factory=Blocked)

    def filters(self) -> list[Filter]:
        """Return what narrows a filter to the jobs that are still to be looked at."""
        filters = [] if self.last is None else behind(self.last)
        blocked = self.blocked.filters()
        return [*filters, {"$nor": blocked}] if blocked else filters


@attrs.define(eq=False)
class LimitedClaim:
    """One claim in which some jobs are subject to limits.

    It looks at the jobs in their order, and past those that wait. However many those are, it gets
    to the ones behind them: in steps, between which others can write.

    Args:
        failed: told of a job whose limits cannot be asked; it is not claimed.
        seen: where to begin, and where it has come to.
    """

    store: Store
    filter: Filter
    update: Mapping[str, Any]
    sort: Sequence[tuple[str, int]]
    now: datetime
    load: Callable[[Stored], Job]
    failed: Callable[[Job, BaseException], None]
    seen: Seen = attrs.field(factory=Seen)
    _session: Any = None
    _lease: Lease = NOT_NEEDED
    _is_leased: bool = False
    _is_late: bool = False

    def run(self, count: int) -> list[Stored]:
        """Make one step: claim up to `count` jobs whose limits have a place.

        Returns:
            the jobs as they are then; none says nothing of those behind, unless `seen.at_end`.
        """
        before = self.seen
        jobs = self.store.collection(JOBS)
        if jobs.find_one(self._where(), {"_id": 1}) is None:
            self.seen.at_end = True
            return []  # nothing to claim: take no lock
        while True:
            try:
                return self._run(before, count)
            except LimitFailed as failed:
                self.seen = before = copy.deepcopy(before)
                self.failed(self.load(failed.stored), failed.error)
                before.blocked.add({"_id": failed.stored["_id"]})

    def holders(self, most: int) -> list[Any]:
        """Return the ids of running jobs that hold places of the limits that were found full."""
        counted = self.seen.counted.filters()
        if not counted:
            return []
        held = {"$and": [{"state": "running"}, {"$or": counted}]}
        return [
            job["_id"] for job in self.store.collection(JOBS).find(held, {"_id": 1}, limit=most)
        ]

    def _run(self, before: Seen, count: int) -> list[Stored]:
        with self.store.lease("claims") as self._lease:
            self._is_leased = self._lease is NOT_NEEDED
            step = functools.partial(self._step, before, count)
            return atomically(self.store, step, repeat=met)

    def _step(self, before: Seen, count: int, session: Any) -> list[Stored]:
        self._session, self.seen, self._is_late = session, copy.deepcopy(before), False
        jobs = self.store.collection(JOBS)
        claimed: list[Stored] = []
        passed = self.seen.passed
        while len(claimed) < count and self.seen.passed - passed < STEP:
            size = max(count - len(claimed), PAGE)
            page = list(jobs.find(self._where(), sort=self.sort, limit=size, session=session))
            self._claim_some(page, count, claimed)
            if self._is_late or (len(page) < size and len(claimed) < count):
                self.seen.at_end = True
                break
        return claimed

    def _claim_some(self, page: list[Stored], count: int, claimed: list[Stored]) -> None:
        """Claim in order; what is subject to no limit goes together."""
        free: list[Any] = []
        for stored in page:
            if len(claimed) + len(free) >= count or self._is_late:
                break
            self.seen.last = place_of(stored)
            limits = self._limits(stored)
            if limits is None:
                self.seen.passed += 1
            elif not limits:
                free.append(stored["_id"])
            else:
                claimed += self._claim(free)  # first: it may count for the limits
                free = []
                if self._admits(stored, limits) and self._leased(stored, limits):
                    claimed += self._claim_limited(stored, limits)
                elif not self._is_late:
                    self.seen.passed += 1
        claimed += self._claim(free)

    def _leased(self, stored: Stored, limits: Sequence[Limit]) -> bool:
        """Have the lease, the first time that a job could be claimed; look again if it is new.

        An idle claim takes none: it would wake all who wait by that.
        """
        if self._is_leased:
            return True
        self._is_leased = self._lease.mine
        self._is_late = not self._is_leased  # others claim without pause: it is tried again later
        return self._is_leased and self._admits(stored, limits)

    def _claim_limited(self, stored: Stored, limits: Sequence[Limit]) -> list[Stored]:
        was_full = stored.get("throttled_by") in {limit.name for limit in limits}
        claimed = self._claim([stored["_id"]], holds.UNSET if was_full else None)
        try:
            for limit in limits if claimed else ():
                limit.take(self.store, self.now, self._session)
        except BaseException as error:
            self._raise_if_of_the_store(error)
            if self._lease is not NOT_NEEDED:  # nothing that the error undoes
                self._release(claimed[0])
            raise LimitFailed(stored, error) from error
        if claimed and not self._lease.lasts():  # another one may have taken the place as well
            self._is_late = True
            self._release(claimed[0])
            return []
        return claimed

    def _release(self, stored: Stored) -> None:
        self.store.write_many(JOBS, [claims.release(stored)])

    def _limits(self, stored: Stored) -> Sequence[Limit] | None:
        """Return a job's limits; None if they cannot be asked, so that it is deferred."""
        try:
            job = self.load(stored)
        except Exception:
            return ()  # it cannot be loaded: whoever claims it says so, and fails it
        try:
            return limits_of(job)
        except BaseException as error:  # whatever an app's code raises
            self._hold(job, stored, error)
            return None

    def _hold(self, job: Job, stored: Stored, error: BaseException) -> None:
        self.failed(job, error)
        self._note(stored, "claim_limits", failure(error))

    def _raise_if_of_the_store(self, error: BaseException) -> None:
        """Pass on an error that ends the claim, such as of a store that is out of reach."""
        if self.store.is_transient(error) or met(error):
            raise error

    def _claim(self, ids: list[Any], cleared: Mapping[str, str] | None = None) -> list[Stored]:
        """Claim jobs.

        Args:
            cleared: what the update unsets besides.
        """
        if not ids:
            return []
        update = self.update
        if cleared:
            update = {**update, "$unset": {**update.get("$unset", {}), **cleared}}
        try:
            return self.store.claim_many(
                JOBS,
                {"_id": {"$in": ids}, "state": "queued"},
                update,
                sort=self.sort,
                limit=len(ids),
                session=self._session,
            )
        except Exception as error:
            self._raise_if_of_the_store(error)
            raise ClaimRefused(ids, error) from error

    def _admits(self, stored: Stored, limits: Sequence[Limit]) -> bool:
        for limit in limits:
            key = (type(limit), limit.key, limit.maximum)
            if key not in self.seen.full:
                try:
                    free = limit.free(self.store, self.now, self._session)
                    is_full = free <= 0
                except BaseException as error:
                    self._raise_if_of_the_store(error)
                    self._hold(self.load(stored), stored, error)
                    return False
                if not is_full:
                    continue
                self.seen.full.add(key)
                if limit.freed_by_ends:
                    self.seen.counted.add(limit.counts)
            if self.seen.blocked.add(limit.blocks):
                self._note(stored, limit.name, limit.rule())
            return False
        return True

    def _where(self) -> Filter:
        narrower = self.seen.filters()
        return {"$and": [self.filter, *narrower]} if narrower else self.filter

    def _note(self, stored: Stored, name: str, text: str) -> None:
        """Store on the job at the head why it waits, if it does not say so already."""
        try:
            note = holds.note(stored, name, text, self.now)
            note |= self.load(stored).waiting_note(name, self.now)
        except Exception:
            return  # an app's own, as the limits are; that the job waits is what matters
        if note:
            self.store.collection(JOBS).update_one(
                {"_id": stored["_id"], "state": "queued"}, {"$set": note}, session=self._session
            )


def failure(error: BaseException) -> str:
    """Say that limits cannot be asked."""
    problem = f"{type(error).__name__}: {message_of(error)}"
    return f"its limits fail, which holds it back: {problem}"


def met(error: BaseException) -> bool:
    """Return whether two claims under the same limit met, so that one is to be made again."""
    return is_conflict(error) or is_duplicate_key(error)  # both wanted to store the limit's turn
