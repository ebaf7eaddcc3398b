"""Places, times and durations as people read them."""

from __future__ import annotations

from datetime import datetime

from rocketjob.base import clock


def relative(at: datetime | None) -> str:
    """Return how long ago, or in how long: `3m ago`, `in 2h`."""
    if at is None:
        return ""
    seconds = clock.now().timestamp() - at.timestamp()
    return f"in {span(-seconds, 2)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float, units: int = 1) -> str:
    """Return a duration in its largest units, such as `3m`, or `1h 59m` in two."""
    parts: list[tuple[int, str]] = []
    left = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size or parts:
            parts.append((left // size, unit))
            left %= size
    return " ".join(f"{n}{unit}" for n, unit in parts[:units] if n) or "0s"


def at(place: str, message: str, between: str = " ") -> str:
    """Put a place in front of what is wrong there, or in a part of it: `homes[0].street is ...`."""
    return f"{place}{message}" if message.startswith(("[", ".")) else f"{place}{between}{message}"
