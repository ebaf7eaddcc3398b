"""How far claims look past jobs that wait for limits, from one claim to the next."""

from __future__ import annotations

from math import inf
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.jobs.claims import COLLECTION as JOBS
from rocketjob.queue.limits import STEP, LimitedClaim, Seen
from rocketjob.queue.place import Place
from rocketjob.store import Stored

MOST_HOLDERS = 2_000  # running jobs whose end is noticed
REST = 4  # after a long look leave jobs alone for this many times as long


class Lookout:
    """Remembers how far it has looked, so as not to look past the same jobs at each claim.

    It looks again after a few times as long as the look took, and once before that if a running job
    ends that holds a place of theirs.

    Attributes:
        leaves_some: whether the last claim has left jobs that wait for limits where they are.
    """

    def __init__(self) -> None:
        self.leaves_some = False
        self._seen = Seen()
        self._spent = 0.0  # seconds of the look that `_seen` is of
        self._looks_again_at = inf
        self._holders: list[Any] = []  # ids of running jobs: the end of one may let others start

    @property
    def sees_on(self) -> bool:
        """Whether the last claim has not seen all that waits, so that the next goes on there."""
        return self._seen.last is not None and not self._seen.at_end

    @property
    def looks_again_in(self) -> float:
        """Seconds until a claim looks again at the head of those that wait, if it does not now."""
        return max(0.0, self._looks_again_at - clock.elapsed())

    def _is_freed(self, claim: LimitedClaim) -> bool:
        """Return whether one of the jobs that held a place has ended since the look.

        At most once between two looks, so that they do not take all the time.
        """
        if not self._holders:
            return False
        running = {"_id": {"$in": self._holders}, "state": "running"}
        if claim.store.collection(JOBS).count_documents(running) == len(self._holders):
            return False
        self._holders = []
        return True

    def run(self, claim: LimitedClaim, limit: int, until: float) -> list[Stored]:
        """Claim up to `limit` jobs, from where the last claim has come to.

        Args:
            until: when to stop looking for the first of them, on the clock's `elapsed`.
        """
        began = clock.elapsed()
        if began >= self._looks_again_at:
            self._seen, self._spent, self._looks_again_at, self._holders = Seen(), 0.0, inf, []
        elif self._is_freed(claim):
            self._seen = Seen()
        claim.seen = attrs.evolve(self._seen, at_end=False)
        claimed = claim.run(limit)
        while not claimed and not claim.seen.at_end and clock.elapsed() < until:
            claimed = claim.run(limit)
        self.leaves_some = bool(claim.seen.passed or self._looks_again_at < inf)
        if claim.seen.passed >= STEP:
            self._note(claim, bool(claimed), clock.elapsed() - began)
        return claimed

    def _note(self, claim: LimitedClaim, has_claimed: bool, took: float) -> None:
        self._seen, self._spent = claim.seen, self._spent + took
        if self._looks_again_at == inf and (has_claimed or claim.seen.at_end):
            self._looks_again_at = clock.elapsed() + REST * self._spent
            self._holders = claim.holders(MOST_HOLDERS)


class Rounds:
    """Where claims go on among many running jobs that had no part to give to another worker.

    Attributes:
        sees_on: whether the last claim was cut short, so that the next goes on there.
    """

    def __init__(self) -> None:
        self.sees_on = False
        self._after: Place | None = None
        self._began = self._spent = 0.0
        self._looks_again_at = inf

    @property
    def looks_again_in(self) -> float:
        """Seconds until a claim begins again at the head."""
        return max(0.0, self._looks_again_at - clock.elapsed())

    def after(self) -> Place | None:
        """Begin a claim; return behind which place."""
        self._began, self.sees_on = clock.elapsed(), False
        if self._began >= self._looks_again_at:
            self._after, self._spent, self._looks_again_at = None, 0.0, inf
        return self._after

    def cut(self, last: Place) -> None:
        """End a claim that has found nothing as far as this place, and has no more time."""
        self.sees_on, self._after = True, last
        self._spent += clock.elapsed() - self._began
        self._looks_again_at = clock.elapsed() + REST * self._spent
