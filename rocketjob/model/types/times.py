"""Times, dates and durations: checked, brought to UTC, and parsed from text."""

from __future__ import annotations

import re
import typing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pendulum

from rocketjob.base import clock
from rocketjob.base.clock import to_utc
from rocketjob.model.types.base import wanted


def check_datetime(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return wanted("datetime", value)
    if value.tzinfo is None:
        return f"must have a time zone, {value.isoformat()} has none: use for example rocketjob.now"
    try:
        to_utc(value)
    except OverflowError:
        return f"must be within the years 1 to 9999 in UTC, not {value.isoformat()}"
    return None


def check_timedelta(value: Any) -> str | None:
    if not isinstance(value, timedelta):
        return wanted("timedelta", value)
    try:
        exact = load_timedelta(value.total_seconds()) == value
    except OverflowError:
        exact = False
    return None if exact else f"is too long to be stored to the microsecond: {value}"


def aware_datetime(value: Any) -> Any:
    if isinstance(value, timedelta):
        value = clock.now() + value
    if isinstance(value, datetime) and value.tzinfo is not None:
        try:
            return to_utc(value)
        except OverflowError:
            return value  # validation says so
    return value


def plain_datetime(value: Any) -> Any:
    """Return a time as BSON is quickest to encode: the same instant, as the library's own type."""
    if type(value) is not pendulum.DateTime:
        return value
    global _last
    last = _last  # read once: other threads set it
    if last[0] is not value:
        last = _last = value, _plain(value)
    return last[1]


def _plain(value: pendulum.DateTime) -> datetime:
    return datetime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        UTC if value.tzinfo is pendulum.UTC else value.tzinfo,
    )


_last: tuple[Any, datetime | None] = None, None
"""The last one: what is stored at once has one time for all, see `clock.now`."""


def load_datetime(value: Any) -> Any:
    return to_utc(value) if isinstance(value, datetime) else value


def load_timedelta(value: Any) -> Any:
    return timedelta(seconds=value) if isinstance(value, int | float) else value


def parse_datetime(text: str) -> pendulum.DateTime:
    """Parse an ISO 8601 time; one without a zone is UTC. A duration means from now."""
    try:
        moment = pendulum.parse(text, strict=True, tz="UTC")
    except (ValueError, OverflowError):
        moment = None
    try:
        if isinstance(moment, pendulum.DateTime):
            return to_utc(moment)
        return typing.cast(pendulum.DateTime, aware_datetime(parse_duration(text)))
    except (ValueError, OverflowError):  # the years 1 to 9999 are all that there are
        raise ValueError(
            f"must be a time such as 2026-01-31T08:30:00Z, or from now such as 2h, not {text!r}"
        ) from None


def parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"must be a date such as 2026-01-31, not {text!r}") from None


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "": 1}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|)\s*", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """Parse `90`, `90s`, `1h 30m`, `2d`, or ISO 8601's `PT1H30M`; a plain number is seconds."""
    try:
        return _duration(text)
    except OverflowError:
        raise ValueError(f"is longer than any duration can be: {text[:50]!r}") from None


def _duration(text: str) -> timedelta:
    stripped = text.strip().lower()
    sign = -1 if stripped.startswith("-") else 1
    unsigned = stripped[1:] if stripped.startswith(("-", "+")) else stripped
    parts = list(_DURATION.finditer(unsigned))
    is_whole = "".join(part.group(0) for part in parts) == unsigned
    has_units = len(parts) == 1 or all(part.group(2) for part in parts)  # 1h 30: of what?
    if parts and is_whole and has_units:
        return timedelta(seconds=sign * sum(float(p.group(1)) * _UNITS[p.group(2)] for p in parts))
    try:
        duration = pendulum.parse(text, exact=True)
    except ValueError:
        duration = None
    if isinstance(duration, pendulum.Duration):
        return timedelta(seconds=duration.total_seconds())
    raise ValueError(f"must be a duration such as 90s, 2h or 1d 12h, not {text!r}")
