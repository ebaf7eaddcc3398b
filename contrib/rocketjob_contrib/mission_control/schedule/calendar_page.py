"""The runs of the next day or week: how many in each hour, and a line for each series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
from starlette.responses import Response

from rocketjob_contrib.mission_control.remembering import remembered
from rocketjob_contrib.mission_control.schedule.finding import series_of
from rocketjob_plugins.cron.series import Series

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

HOUR = timedelta(hours=1)
OF_ONE = 2100  # runs of one series that are drawn: one every five minutes for a week, and some
OF_ALL = 20_000  # that a page works out; it takes some 20 microseconds for each
WIDTH = 960  # of the drawing; a run is at least as wide as a line


@attrs.frozen
class Bar:
    """One run in a lane, or several that could not be told apart."""

    x: float
    width: float


@attrs.frozen
class Lane:
    """The runs of one series.

    Attributes:
        times: when they begin; the first of them if it is cut.
        is_cut: whether there are more, which are not counted.
    """

    series: Series
    bars: list[Bar]
    times: list[datetime]
    is_cut: bool

    @property
    def count(self) -> int:
        return len(self.times)


@attrs.frozen
class Hour:
    """One hour.

    Attributes:
        at: when it begins.
        label: the same, in the zone of whoever looks.
        is_day: whether a day begins with it.
        classes: of the runs that begin within, each with how many.
    """

    x: float
    at: datetime
    label: str
    is_day: bool
    classes: Counter[str]

    @property
    def count(self) -> int:
        """How many runs begin within."""
        return self.classes.total()

    @property
    def names(self) -> str:
        """Their classes, each with how many."""
        return ", ".join(f"{name} {count}" for name, count in self.classes.most_common())


@attrs.frozen(kw_only=True)
class Calendar:
    """What is shown.

    Attributes:
        paused: series that run only when they are resumed.
        now_x: where the present moment is.
    """

    hours: list[Hour]
    lanes: list[Lane]
    paused: list[Series]
    now_x: float

    @property
    def most(self) -> int:
        """How many runs begin in the hour that has most."""
        return max((hour.count for hour in self.hours), default=0)

    @property
    def total(self) -> int:
        return sum(hour.count for hour in self.hours)


def of(hours: int) -> Callable[[View], Response]:
    """Return the view of the next hours."""

    def show(view: View) -> Response:
        return view.render(
            "schedule/calendar.html",
            calendar=calendar_of(view, hours),
            title="Next 24 hours" if hours == 24 else "Next 7 days",
            is_week=hours > 24,
            width=WIDTH,
        )

    return show


def calendar_of(view: View, hours: int) -> Calendar:
    """Return the calendar of the next hours, or that of a moment ago."""
    key = (hours, view.zone.key)
    return remembered(view, "calendars", key, lambda: _calendar(view, hours))


def _calendar(view: View, hours: int) -> Calendar:
    """Make the calendar; with very many runs it takes most of a second."""
    found = series_of(view)
    begin, end = begin_of(found.now, view.zone), found.now + hours * HOUR
    lanes, times = _lanes(found.series, begin, end)
    return Calendar(
        hours=_hours(view, begin, end, times),
        lanes=lanes,
        paused=[each for each in found.series if each.is_paused],
        now_x=_x(found.now, begin, end),
    )


def begin_of(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the begin of the present hour where whoever looks is: it is not UTC's everywhere."""
    local = now.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return now - past


def _lanes(
    series: Iterable[Series], begin: datetime, end: datetime
) -> tuple[list[Lane], list[tuple[datetime, str]]]:
    lanes, all_times, left = [], list[tuple[datetime, str]](), OF_ALL
    for each in series:
        if each.is_paused or each.schedule is None:
            continue
        times, is_cut = _times(each, end, min(OF_ONE, left))
        left -= len(times)
        all_times += [(at, each.class_name) for at in times]
        lanes.append(Lane(each, _bars(each, times, begin, end), times, is_cut))
    lanes.sort(key=lambda lane: (-lane.count, lane.series.class_name))
    return lanes, all_times


def _times(series: Series, end: datetime, most: int) -> tuple[list[datetime], bool]:
    times: list[datetime] = []
    for at in series.upcoming():
        if at >= end:
            return times, False
        if len(times) >= most:
            return times, True
        times.append(at)
    return times, False


def _x(at: datetime, begin: datetime, end: datetime) -> float:
    return round(WIDTH * (at - begin) / (end - begin), 1)


def _bars(series: Series, times: list[datetime], begin: datetime, end: datetime) -> list[Bar]:
    """Return what is drawn: as long as a run usually takes; those that would touch are one."""
    usual = timedelta(seconds=series.usual_seconds or 0)
    bars: list[Bar] = []
    for at in times:
        x, width = _x(at, begin, end), max(2.0, _x(begin + usual, begin, end))
        if bars and x <= bars[-1].x + bars[-1].width + 0.5:
            bars[-1] = Bar(bars[-1].x, round(max(bars[-1].width, x + width - bars[-1].x), 1))
        else:
            bars.append(Bar(x, min(width, round(WIDTH - x, 1))))
    return bars


def _hours(
    view: View, begin: datetime, end: datetime, times: list[tuple[datetime, str]]
) -> list[Hour]:
    names: dict[int, Counter[str]] = {}
    for at, name in times:
        names.setdefault(int((at - begin) / HOUR), Counter())[name] += 1
    shown = []
    for number in range(-int(-(end - begin) // HOUR)):
        at, found = begin + number * HOUR, names.get(number, Counter())
        local = at.astimezone(view.zone)
        text = f"{local:%a %d %b, %H:%M %Z}"
        shown.append(Hour(_x(at, begin, end), at, text, local.hour == 0, found))
    return shown
