"""Pauses before something is tried again."""

from __future__ import annotations

import random


def jittered(seconds: float) -> float:
    """Return a little less, at random: what failed together is not to try again together."""
    return seconds * random.uniform(0.5, 1.0)


class Backoff:
    """Pauses that double, from the first to the longest, until a success resets them."""

    def __init__(self, first: float, longest: float) -> None:
        self.first = first
        self.longest = longest
        self._seconds = first

    def next(self) -> float:
        """Return how many seconds to wait now; the next pause is twice as long."""
        seconds = self._seconds
        self._seconds = min(2 * seconds, self.longest)
        return jittered(seconds)

    def reset(self) -> None:
        self._seconds = self.first
