"""Claims that begin behind the head of the queue, where very many jobs there are not for them.

The store looks at each job that is in front of the first one it may give out: at those of classes
that this server does not know, of limits that are full, or due next week. That is quick in an
index, but fifty thousand of them take ten times as long as the claim itself. So a claim that begins
at the head notes how far it went in vain, and those after it begin there, for a few times as long
as it took, and for five seconds at most: the store may only have been slow. What comes to be ready
in front is found by the next one that begins at the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from rocketjob.base import clock
from rocketjob.jobs.claims import COLLECTION as JOBS
from rocketjob.queue.lookout import REST
from rocketjob.queue.place import Place, behind, in_front_of, place_of
from rocketjob.store import Filter, Sort, Store, Stored

MANY = 5_000  # jobs in front that are worth it: a claim of 50 then takes twice as long
SLOW = 0.003  # seconds of a claim that can have gone past so many
LONGEST = 5.0  # seconds for which claims begin behind
COUNTED_EVERY = 5.0  # seconds, where there were fewer


class Head:
    """How far one claimer has looked in vain, and until when it does not look there again."""

    def __init__(self) -> None:
        self._last: Place | None = None  # of those that it passed over
        self._looks_again_at = inf
        self._counts_again_at = -inf
        self._has_skipped = False

    @property
    def looks_again_in(self) -> float:
        """Seconds until a claim has to begin at the head; inf if the last one did."""
        return max(0.0, self._looks_again_at - clock.elapsed()) if self._has_skipped else inf

    def skipped(self) -> Sequence[Filter]:
        """Return what narrows a claim to the jobs behind; nothing if it begins at the head."""
        if self._last is None or clock.elapsed() >= self._looks_again_at:
            return ()
        self._has_skipped = True
        return behind(self._last)

    def note(
        self, store: Store, sort: Sort, claimed: Sequence[Stored], took: float, end: Place | None
    ) -> None:
        """Note how far a claim went that began at the head.

        Args:
            claimed: what it got, in order.
            took: how many seconds it took.
            end: where it ended, if not at the end of the queue.
        """
        self._last, self._looks_again_at, self._has_skipped = None, inf, False
        now = clock.elapsed()
        if took < SLOW or now < self._counts_again_at:
            return
        last = place_of(claimed[0]) if claimed else end or self._end(store, sort)
        if last is not None and self._are_many(store, last):
            self._last, self._looks_again_at = last, now + min(REST * took, LONGEST)
        else:  # each claim on a server elsewhere takes so long
            self._counts_again_at = now + COUNTED_EVERY

    def _end(self, store: Store, sort: Sort) -> Place | None:
        backwards = [(name, -way) for name, way in sort]
        last = store.collection(JOBS).find_one(
            {"state": "queued"}, {"priority": 1, "_id": 1}, sort=backwards
        )
        return None if last is None else place_of(last)

    def _are_many(self, store: Store, last: Place) -> bool:
        """Return whether so many jobs are in front of a place that to pass over them pays."""
        in_front = {"$and": [{"state": "queued"}, *in_front_of(last)]}
        return store.collection(JOBS).count_documents(in_front, limit=MANY) >= MANY
