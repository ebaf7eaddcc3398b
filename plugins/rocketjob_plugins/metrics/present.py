"""Durations and trends as they are shown to people, and printed for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rocketjob.base.text import span
from rocketjob_plugins.metrics.histogram import Histogram

BARS = "▁▂▃▄▅▆▇█"
SPARKS = 30  # columns of a sparkline, at most


def spread(histogram: Histogram) -> str:
    """Return the median, what 95 percent do not exceed, and the longest; empty without any."""
    if not histogram.buckets:
        return ""
    return " ".join(duration(histogram.quantile(q)) for q in (0.5, 0.95, 1))


def duration(seconds: float | None) -> str:
    """Return a duration in two or three digits: `12ms`, `1.5s`, `2m 5s`."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 59.95 else span(seconds, 2)


def spread_as_json(histogram: Histogram) -> dict[str, Any]:
    """Return the same for programs, in seconds, with the mean and how many there are."""
    return {
        "count": histogram.count,
        "mean": histogram.mean,
        "p50": histogram.quantile(0.5),
        "p95": histogram.quantile(0.95),
        "max": histogram.max if histogram.buckets else None,
    }


def sparkline(numbers: Sequence[int], width: int = SPARKS) -> str:
    """Return bars for numbers, several to a bar if there are more than the width; none is empty."""
    per_bar = -(-len(numbers) // width) or 1
    sums = [sum(numbers[i : i + per_bar]) for i in range(0, len(numbers), per_bar)]
    most = max(sums, default=0)
    return "".join(" " if not n else BARS[(n * len(BARS) - 1) // most] for n in sums)
