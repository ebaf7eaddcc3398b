"""Convert between wall-clock time and real time, across clock changes.

A wall-clock time happens once, not at all (a gap: clocks go forward) or twice (an overlap: clocks
go back). As in the standard library, `fold` 0 is the first of the two times and 1 the second.
Within one fold, later wall-clock times never come earlier in real time, so `schedule` can search on
the wall clock and convert only what it finds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from attrs import frozen

from rocketjob.base.text import nearest

_SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


def load_zone(name: str) -> ZoneInfo:
    """Return the zone of exactly this name, or raise a `ValueError` that says why not.

    The list is checked first because a file system that ignores case would find `utc`, and because
    `right/UTC` (leap seconds) and `localtime` (a different zone on each server) are files too.
    """
    if name not in _zone_names():
        raise ValueError(f"is not known{_suggestion(name)}")
    return ZoneInfo(name)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _suggestion(name: str) -> str:
    plain = {_simplified(zone): zone for zone in sorted(_zone_names())}
    cities = {simple.rpartition("/")[2]: simple for simple in plain}
    simple_name = _simplified(name)
    near = nearest(simple_name, plain, cutoff=0.8)
    if near is None and "/" not in simple_name:
        city = nearest(simple_name, cities, cutoff=0.8)
        near = city and cities[city]
    return f', did you mean "{plain[near]}"?' if near else ""


def _simplified(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


@frozen
class Shift:
    """The clocks change at `instant`: the offset was `before` until then, and `after` since.

    A gap leaves out the wall-clock times from `old_wall` up to `new_wall`; an overlap repeats
    those from `new_wall` up to `old_wall`.
    """

    instant: datetime
    before: timedelta
    after: timedelta

    @property
    def old_wall(self) -> datetime:
        """What the clocks would show at that instant had they not changed."""
        return (self.instant + self.before).replace(tzinfo=None)

    @property
    def new_wall(self) -> datetime:
        """What the clocks do show at that instant."""
        return (self.instant + self.after).replace(tzinfo=None)


def instant_of(wall: datetime, zone: ZoneInfo, fold: int) -> datetime | None:
    """Return the real time (UTC) at which clocks show this; None if the time is in a gap."""
    instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall else None


def shift_at(wall: datetime, zone: ZoneInfo) -> Shift:
    """Return the clock change that skips or repeats this wall-clock time."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    low, high = min(first, second).replace(microsecond=0), max(first, second)
    before, after = _offset(low, zone), _offset(high, zone)
    seconds = (high - low) // _SECOND + 1
    low_seconds = 0
    while seconds - low_seconds > 1:
        middle = (low_seconds + seconds) // 2
        if _offset(low + middle * _SECOND, zone) == before:
            low_seconds = middle
        else:
            seconds = middle
    return Shift(low + seconds * _SECOND, before, after)


def reading(instant: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """Return the latest wall-clock time that, read with this fold, has passed at the instant.

    That is what the clocks show, except in an overlap. The second time round (fold 0) all of the
    overlap has passed; the first time round (fold 1) none of it has.
    """
    local = instant.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    if local.fold == fold or local.replace(fold=fold).utcoffset() == local.utcoffset():
        return wall
    shift = shift_at(wall, zone)
    return (shift.old_wall if fold == 0 else shift.new_wall) - TICK


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
