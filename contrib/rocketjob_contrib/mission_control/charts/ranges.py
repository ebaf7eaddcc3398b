"""How far back a page looks, and in which steps; and what was counted then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from rocketjob_contrib.mission_control.errors import BadRequest, Unreadable
from rocketjob_contrib.mission_control.remembering import remembered
from rocketjob_plugins.metrics.collections import Counts
from rocketjob_plugins.metrics.series import By, Point, Series, read

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


@attrs.frozen
class Range:
    """How far back a page looks.

    Attributes:
        name: in its URL.
        step: the length of what is one point of a chart.
        each: the step in words.
        by: what the store is read by.
    """

    name: str
    title: str
    length: timedelta
    step: timedelta
    each: str
    by: By


RANGES = (
    Range("1h", "1 hour", timedelta(hours=1), timedelta(minutes=1), "minute", "minute"),
    Range("8h", "8 hours", timedelta(hours=8), timedelta(minutes=5), "5 minutes", "minute"),
    Range("24h", "24 hours", timedelta(hours=24), timedelta(hours=1), "hour", "hour"),
    Range("7d", "7 days", timedelta(days=7), timedelta(hours=1), "hour", "hour"),
)
"""Minutes are read for eight hours at most: with many classes those of a day take seconds."""


def asked_range(view: View) -> Range:
    """Return the range that a URL asks for.

    Raises:
        BadRequest: there is no such range.
    """
    name = view.query.get("for") or RANGES[0].name
    for each in RANGES:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in RANGES)
    raise BadRequest(f"A chart is for {names}, not for {name[:20]}")


def series_of(view: View, range: Range) -> Series:
    """Return what was counted in a range until now, in its steps; or a moment ago."""
    return remembered(view, "charts", range.name, lambda: _read(view.now, range))


def _read(now: datetime, range: Range) -> Series:
    since = _floor(now - range.length + range.step, range.step)
    try:
        return stepped(read(since, now, by=range.by), range.step)
    except (AttributeError, TypeError, KeyError) as error:  # people edit documents by hand
        why = f"{type(error).__name__}: {error}"
        text = f"What was counted in the last {range.title} is not what was written here: {why}"
        raise Unreadable(text) from error


def stepped(series: Series, step: timedelta) -> Series:
    """Return a series with longer points, each the sum of those within."""
    if step == series.step:
        return series
    sums: dict[datetime, Counts] = {}
    for point in series.points:
        counts = sums.setdefault(_floor(point.at, step), Counts())
        counts.merge(Counts(point.classes, point.measures))
    points = [Point(at, counts.classes, counts.measures) for at, counts in sums.items()]
    return attrs.evolve(series, step=step, points=points)


def _floor(at: datetime, step: timedelta) -> datetime:
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(step.total_seconds()), at.tzinfo)
