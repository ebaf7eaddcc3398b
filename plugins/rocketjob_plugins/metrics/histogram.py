"""Durations as a histogram, whose buckets are the same for all: so they can be added up.

Bucket 0 has what took a millisecond or less, and bucket i, from 1 on, what took more than
`2 ** ((i - 1) / 4)` and at most `2 ** (i / 4)` milliseconds: four buckets for each doubling, up to
25 days, in the last of which all that is longer stands. A quantile is told as the geometric middle
of its bucket, which is off by at most `2 ** (1 / 8) - 1`: 9.1 percent. The largest value and the
sum are exact to the millisecond.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Self

PER_DOUBLING = 4
LOWEST = 0.001  # seconds: the upper bound of bucket 0
LAST = 31 * PER_DOUBLING
ERROR = 2 ** (1 / (2 * PER_DOUBLING)) - 1  # of a quantile, at most
_NEARLY = 1e-9  # so that a bound itself, computed otherwise, stands in the bucket that it bounds


def bucket_of(seconds: float) -> int:
    """Return the bucket in which a duration stands."""
    return bisect_left(_BOUNDS, seconds)


def upper_bound(bucket: int) -> float:
    """Return the longest duration of a bucket, in seconds."""
    return float(LOWEST * 2 ** (bucket / PER_DOUBLING))


_BOUNDS = [upper_bound(bucket) * (1 + _NEARLY) for bucket in range(LAST)]


class Histogram:
    """How many durations there were of each length.

    Attributes:
        sum: of all, in seconds.
        max: the longest, in seconds; 0 if there are none.
        buckets: how many stand in each bucket that has any.
    """

    __slots__ = ("buckets", "max", "sum")

    def __init__(self) -> None:
        self.sum = self.max = 0.0
        self.buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one duration; less than nothing, as by a clock that was set back, is nothing."""
        if seconds < 0:
            seconds = 0.0
        self.sum += seconds
        if seconds > self.max:
            self.max = seconds
        bucket = bucket_of(seconds)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Histogram, times: int = 1) -> None:
        """Add all that another one has, or take it away, which leaves the longest as it is.

        Args:
            times: -1 to take it away.
        """
        self.sum += other.sum * times
        self.max = max(self.max, other.max)
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count * times

    @property
    def count(self) -> int:
        """How many durations there are."""
        return sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """The mean in seconds; None if there are none."""
        count = self.count
        return self.sum / count if count else None

    def quantile(self, q: float) -> float | None:
        """Return what a share of the durations, such as 0.95, does not exceed, in seconds.

        It is off by at most `ERROR`; None if there are none.
        """
        rank, seen = q * self.count, 0
        for bucket, count in sorted(self.buckets.items()):
            seen += count
            if seen >= rank:
                middle = upper_bound(bucket) / (1 + ERROR) if bucket else LOWEST
                return min(middle, self.max)
        return None

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Yield how many are at most so long, for each doubling: (seconds, count)."""
        seen, left = 0, sorted(self.buckets.items(), reverse=True)
        for bound in range(0, LAST + 1, PER_DOUBLING):
            while left and left[-1][0] <= bound:
                seen += left.pop()[1]
            yield upper_bound(bound), seen

    # --- as it is stored ---------------------------------------------------------------------

    def stored(self) -> dict[str, Any]:
        """Return it as a part of a document."""
        buckets = {str(bucket): count for bucket, count in sorted(self.buckets.items())}
        return {"sum": self.sum, "max": self.max, "buckets": buckets}

    @classmethod
    def load(cls, stored: Mapping[str, Any] | None) -> Self:
        histogram = cls()
        if stored:
            histogram.sum, histogram.max = stored.get("sum", 0.0), stored.get("max", 0.0)
            histogram.buckets = {int(b): count for b, count in stored.get("buckets", {}).items()}
        return histogram
