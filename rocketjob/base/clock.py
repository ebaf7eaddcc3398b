"""The only place that asks the time.

Everything that is stored is UTC in whole milliseconds, so that a value read back equals the value
saved. Tests move this clock instead of sleeping: see `rocketjob.testing`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pendulum

__all__ = ["elapsed", "monotonic", "now", "reset", "to_utc", "travel"]


class Clock:
    """A wall clock that can be moved, and stopped."""

    def __init__(self) -> None:
        self.offset = 0.0
        self.frozen: float | None = None
        self.travelled = 0.0

    def timestamp(self) -> float:
        """Return seconds since 1970, UTC."""
        return self.frozen if self.frozen is not None else time.time() + self.offset

    def travel(self, to: datetime | timedelta, freeze: bool = False) -> None:
        """Move to an instant, or by a duration; with `freeze` the time then stands still."""
        if isinstance(to, timedelta):
            target = self.timestamp() + to.total_seconds()
        elif to.tzinfo is None:
            raise ValueError(f"{to} has no time zone: use for example pendulum.datetime(...)")
        else:
            target = to.timestamp()
        self.travelled += target - self.timestamp()
        self.offset = target - time.time()
        self.frozen = target if freeze or self.frozen is not None else None

    def reset(self) -> None:
        """Return to the real time."""
        self.offset, self.frozen, self.travelled = 0.0, None, 0.0

    def elapsed(self) -> float:
        """Return seconds of a clock that nobody sets back, moved by `travel` alone."""
        return time.monotonic() + self.travelled


_clock = Clock()
travel = _clock.travel
reset = _clock.reset
elapsed = _clock.elapsed
monotonic = time.monotonic


def now() -> pendulum.DateTime:
    """Return the present time in UTC, cut to milliseconds."""
    global _last
    # Rounded to microseconds first: a float holds 0.123 as a little less.
    millis = round(_clock.timestamp() * 1_000_000) // 1000
    last = _last  # read once: other threads set it
    if last[0] != millis:
        last = _last = millis, _from_millis(millis)
    return last[1]


def _from_millis(millis: int) -> pendulum.DateTime:
    seconds, milli = divmod(millis, 1000)
    t, micro = time.gmtime(seconds), milli * 1000
    return pendulum.DateTime(
        t.tm_year, t.tm_mon, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, micro, pendulum.UTC
    )


_last = 0, _from_millis(0)  # under load it is asked several times within a millisecond


def to_utc(value: datetime) -> pendulum.DateTime:
    """Convert an aware datetime to what is stored: UTC, cut to milliseconds."""
    if value.tzinfo is not UTC and value.tzinfo is not pendulum.UTC:
        value = value.astimezone(UTC)
    micro = value.microsecond // 1000 * 1000
    if type(value) is pendulum.DateTime and micro == value.microsecond:
        return value
    return pendulum.DateTime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        micro,
        pendulum.UTC,
    )


def as_delay(delay: timedelta | float) -> timedelta:
    """Return a duration, which may be given in seconds.

    Raises:
        ValueError: it is negative or not a duration.
    """
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds < float("inf"):
        raise ValueError(f"a delay is a timedelta or a number of seconds, not {delay!r}")
    return timedelta(seconds=seconds)
