"""How far claims look past jobs that wait for limits, from one claim to the next."""

from __future__ import annotations

from math import inf

import attrs

from rocketjob.base import clock
from rocketjob.queue.limits import STEP, LimitedClaim, Seen
from rocketjob.store import Stored

REST = 4  # after a long look leave jobs alone for this many times as long


class Lookout:
    """Remembers how far it has looked, so as not to look past the same jobs at each claim.

    Until it looks again, which is a few times as long as the look took, it does not see a slot that
    becomes free among them.
    """

    def __init__(self) -> None:
        self._seen = Seen()
        self._spent = 0.0  # seconds of the look that `_seen` is of
        self._looks_again_at = inf

    @property
    def sees_on(self) -> bool:
        """Whether the last claim has not seen all that waits, so that the next goes on there."""
        return self._seen.last is not None and not self._seen.at_end

    @property
    def looks_again_in(self) -> float:
        """Seconds until a claim looks again at the head of those that wait, if it does not now."""
        return max(0.0, self._looks_again_at - clock.elapsed())

    def run(self, claim: LimitedClaim, limit: int, until: float) -> list[Stored]:
        """Claim up to `limit` jobs, from where the last claim has come to.

        Args:
            until: when to stop looking for the first of them, on the clock's `elapsed`.
        """
        began = clock.elapsed()
        if began >= self._looks_again_at:
            self._seen, self._spent, self._looks_again_at = Seen(), 0.0, inf
        claim.seen = attrs.evolve(self._seen, at_end=False)
        claimed = claim.run(limit)
        while not claimed and not claim.seen.at_end and clock.elapsed() < until:
            claimed = claim.run(limit)
        if claim.seen.passed >= STEP:
            self._note(claim.seen, bool(claimed), clock.elapsed() - began)
        return claimed

    def _note(self, seen: Seen, has_claimed: bool, took: float) -> None:
        self._seen, self._spent = seen, self._spent + took
        if self._looks_again_at == inf and (has_claimed or seen.at_end):
            self._looks_again_at = clock.elapsed() + REST * self._spent
