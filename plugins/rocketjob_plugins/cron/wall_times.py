"""The wall-clock times that a cron expression names, without a time zone.

Searches use field arithmetic (bisect in the sorted numbers of a field, then month by month) and
never step through the minutes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta

from attrs import frozen

#: `0 0 * 2 Mon#5` waits 28 years, or 40 across a century year that is not a leap year.
YEARS = 60

_MINUTE = timedelta(minutes=1)


@frozen(slots=True)
class WallTimes:
    """The numbers of the five fields, each sorted.

    Attributes:
        days: of the month, negative ones counted from its end; None is any day.
        weekdays: (0-6 with Sunday 0, its position in the month or None for all); None is any day.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    months: tuple[int, ...]
    weekdays: tuple[tuple[int, int | None], ...] | None

    def first_after(self, wall: datetime) -> datetime | None:
        """Return the first time after this one, if there is one within 60 years."""
        start = wall.replace(second=0, microsecond=0) + _MINUTE
        day = self._first_day(start.date())
        if day is None:
            return None
        time = (self.hours[0], self.minutes[0])
        if day == start.date():
            time_of_day = self._first_time(start.hour, start.minute)
            if time_of_day is None:
                return self.first_after(datetime(day.year, day.month, day.day, 23, 59))
            time = time_of_day
        return datetime(day.year, day.month, day.day, *time)

    def last_before(self, wall: datetime) -> datetime | None:
        """Return the last time before this one, if there is one within 60 years."""
        whole = wall.replace(second=0, microsecond=0)
        end = whole if whole < wall else whole - _MINUTE
        day = self._last_day(end.date())
        if day is None:
            return None
        time = (self.hours[-1], self.minutes[-1])
        if day == end.date():
            time_of_day = self._last_time(end.hour, end.minute)
            if time_of_day is None:
                return self.last_before(datetime(day.year, day.month, day.day))
            time = time_of_day
        return datetime(day.year, day.month, day.day, *time)

    def days_of(self, year: int, month: int) -> Sequence[int]:
        """Return the days of a month that match; if both day fields are set, either suffices."""
        first_weekday, last = monthrange(year, month)
        if self.days is None and self.weekdays is None:
            return range(1, last + 1)
        chosen = {day if day > 0 else last + 1 + day for day in self.days or ()}
        for weekday, nth in self.weekdays or ():
            # monthrange counts from Monday, cron from Sunday
            first = 1 + (weekday - first_weekday - 1) % 7
            chosen.update(_occurrences(range(first, last + 1, 7), nth))
        return sorted(day for day in chosen if 1 <= day <= last)

    def _first_time(self, hour: int, minute: int) -> tuple[int, int] | None:
        """Return the first time of a day at or after this one."""
        index = bisect_left(self.hours, hour)
        if index < len(self.hours) and self.hours[index] == hour:
            after = bisect_left(self.minutes, minute)
            if after < len(self.minutes):
                return hour, self.minutes[after]
            index += 1
        return (self.hours[index], self.minutes[0]) if index < len(self.hours) else None

    def _last_time(self, hour: int, minute: int) -> tuple[int, int] | None:
        """Return the last time of a day at or before this one."""
        index = bisect_right(self.hours, hour) - 1
        if index >= 0 and self.hours[index] == hour:
            before = bisect_right(self.minutes, minute) - 1
            if before >= 0:
                return hour, self.minutes[before]
            index -= 1
        return (self.hours[index], self.minutes[-1]) if index >= 0 else None

    def _first_day(self, start: date) -> date | None:
        """Return the first matching day at or after this one."""
        for year, month in self._months_from(start):
            days = self.days_of(year, month)
            same = (year, month) == (start.year, start.month)
            index = bisect_left(days, start.day) if same else 0
            if index < len(days):
                return date(year, month, days[index])
        return None

    def _last_day(self, end: date) -> date | None:
        """Return the last matching day at or before this one."""
        for year, month in self._months_back_from(end):
            days = self.days_of(year, month)
            same = (year, month) == (end.year, end.month)
            index = (bisect_right(days, end.day) if same else len(days)) - 1
            if index >= 0:
                return date(year, month, days[index])
        return None

    def _months_from(self, start: date) -> Iterator[tuple[int, int]]:
        for year in range(start.year, min(start.year + YEARS, MAXYEAR) + 1):
            for month in self.months:
                if year > start.year or month >= start.month:
                    yield year, month

    def _months_back_from(self, end: date) -> Iterator[tuple[int, int]]:
        for year in range(end.year, max(end.year - YEARS, MINYEAR) - 1, -1):
            for month in reversed(self.months):
                if year < end.year or month <= end.month:
                    yield year, month


def _occurrences(days: Sequence[int], nth: int | None) -> Sequence[int]:
    """Return all days of one weekday in a month, the nth, or the nth from the end."""
    if nth is None:
        return days
    index = nth - 1 if nth > 0 else len(days) + nth
    return days[index : index + 1] if index >= 0 else ()
