"""Times in a search: ages (`2h`), moments, and days.

An age is counted back from now, and is compared as one: `created:>2h` is more than two hours ago,
that is, before that. Everything else is a point or a stretch of the calendar, in UTC, so that a
search means the same wherever it is read: `created:>2026-01-31` is after that day.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import attrs

from rocketjob.model.types.times import parse_datetime, parse_duration, plain_datetime

EXAMPLES = "2h (ago), +2h (from now), today, 2026-01-31 or 2026-01-31T08:30:00Z"
_AGE = re.compile(r"(\d+(\.\d+)?(ms|s|m|h|d|w))+", re.IGNORECASE | re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?P<s>:\d\d(?P<ms>\.\d+)?)?(Z|[+-]\d\d:?\d\d)?",
    re.IGNORECASE | re.ASCII,
)
_OF_AGES = {">": "$lt", ">=": "$lte", "<": "$gt", "<=": "$gte"}  # the older, the earlier
_OF_POINTS = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}


@attrs.frozen
class Stretch:
    """From a moment, included, to another, excluded; both are the same for a point.

    Attributes:
        is_age: it was given as how long ago it is: the greater, the earlier.
    """

    text: str
    start: datetime
    end: datetime
    is_age: bool = False


def stretch_of(text: str, now: datetime) -> Stretch:
    """Return what a text means.

    Raises:
        ValueError: it is no time.
    """
    try:
        return _stretch(text, plain_datetime(now))
    except (ValueError, OverflowError):
        hint = ""
        if re.fullmatch(r"-\s*" + _AGE.pattern, text, re.IGNORECASE):
            hint = f"; {text[1:].strip()} is that long ago by itself"
        raise ValueError(f"must be a time such as {EXAMPLES}, not {text[:60]!r}{hint}") from None


def _stretch(text: str, now: datetime) -> Stretch:
    word = text.lower()
    if _AGE.fullmatch(text):
        at = _at(now - parse_duration(text))
        return Stretch(text, at, at, is_age=True)
    if text[:1] == "+" and _AGE.fullmatch(text[1:]):
        at = _at(now + parse_duration(text[1:]))
        return Stretch(text, at, at)
    if word == "now":
        return Stretch(text, now, now)
    if word in _DAYS:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return _lasting(text, midnight + timedelta(days=_DAYS[word]), timedelta(days=1))
    if _DAY.fullmatch(text):
        return _lasting(text, parse_datetime(f"{text}T00:00:00Z"), timedelta(days=1))
    exact = _TIME.fullmatch(text)
    if exact is None:
        raise ValueError
    length = timedelta(milliseconds=1) if exact["ms"] else timedelta(seconds=1)
    return _lasting(text, parse_datetime(text), length if exact["s"] else timedelta(minutes=1))


def _lasting(text: str, start: datetime, length: timedelta) -> Stretch:
    start = plain_datetime(start)
    return Stretch(text, _at(start), _at(start + length))


def _at(moment: datetime) -> datetime:
    if not 1 < moment.year < 9999:  # what every store can hold, in any zone
        raise ValueError
    return moment


def compared(operator: str, stretch: Stretch) -> dict[str, Any]:
    """Return the condition of a time that is compared with a stretch."""
    start, end = stretch.start, stretch.end
    if stretch.is_age:
        return {_OF_AGES.get(operator, "$gte"): start}
    if start == end:
        return {_OF_POINTS.get(operator, "$eq"): start}
    sign, bound = {">": ("$gte", end), ">=": ("$gte", start), "<": ("$lt", start)}.get(
        operator, ("$lt", end)
    )
    return {sign: bound} if operator in _OF_POINTS else {"$gte": start, "$lt": end}


def between(one: Stretch, other: Stretch) -> dict[str, Any]:
    """Return the condition of a time within two stretches, both included, in any order."""
    first, last = sorted((one, other), key=lambda each: each.start)
    return {"$gte": first.start, "$lt" if last.end > last.start else "$lte": last.end}


def in_words(operator: str, stretch: Stretch) -> str:
    """Return the same in words, with the moment that an age was counted back to."""
    if stretch.is_age:
        before = operator in (">", ">=")
        what = "more than" if before else "less than" if operator else "in the last"
        ago = f"{what} {stretch.text}{' ago' if operator else ''}"
        return f"{ago} ({'before' if before else 'after'} {moment(stretch.start)})"
    says = {">": "after", ">=": "from", "<": "before", "<=": "up to"}
    is_day = stretch.end - stretch.start == timedelta(days=1)
    return f"{says.get(operator, 'on' if is_day else 'at')} {_shown(stretch)}"


def between_words(one: Stretch, other: Stretch) -> str:
    """Return a stretch from one to another in words."""
    first, last = sorted((one, other), key=lambda each: each.start)
    return f"from {_shown(first)} to {_shown(last)}"


def _shown(stretch: Stretch) -> str:
    is_day = stretch.end - stretch.start == timedelta(days=1)
    return f"{stretch.start:%Y-%m-%d}" if is_day else moment(stretch.start)


def moment(at: datetime) -> str:
    """Return a moment as people write it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
