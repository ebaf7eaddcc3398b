"""A chart as SVG: it needs no script, can be printed, and takes its colours from the stylesheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from rocketjob_contrib.mission_control.charts.numbers import Chart, Number, Row
from rocketjob_plugins.metrics.present import duration

WIDTH, WIDE, HEIGHT = 480, 980, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 22
TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
"""Seconds between two lines across, as people count time; less and more goes by the decimals."""
EVERY = tuple(timedelta(minutes=each) for each in (10, 60, 180, 360, 720, 1440))


@attrs.frozen
class Label:
    """A word at an axis, with the line that goes out from it."""

    at: float
    text: str


@attrs.frozen
class Path:
    """One line: what is connected, and points that stand alone."""

    title: str
    d: str
    dots: tuple[tuple[float, float], ...]


@attrs.frozen
class Drawing:
    """What the template puts into the SVG; coordinates are those of its `viewBox`."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    top: int
    across: list[Label]
    along: list[Label]
    paths: list[Path]
    marks: list[tuple[float, int, str]]


def drawing(
    chart: Chart,
    rows: Sequence[Row],
    zone: ZoneInfo,
    marks: Iterable[tuple[datetime, str]] = (),
    width: int = WIDTH,
) -> Drawing:
    """Return the drawing of a chart.

    Args:
        rows: one at least.
        marks: what happened meanwhile: when, and what.
    """
    begin, end = rows[0].at.timestamp(), rows[-1].at.timestamp()
    ticks = ticks_of(max(_known(rows), default=0), chart.unit)
    inner, below = width - LEFT - RIGHT, HEIGHT - BOTTOM

    def x(at: datetime) -> float:
        return round(LEFT + inner * (at.timestamp() - begin) / max(end - begin, 1), 1)

    def y(value: float) -> float:
        return round(below - (below - TOP) * value / ticks[-1], 1)

    return Drawing(
        width=width,
        height=HEIGHT,
        left=LEFT,
        right=width - RIGHT,
        bottom=below,
        top=TOP,
        across=[Label(y(each), worded(each, chart.unit)) for each in ticks],
        along=[Label(x(at), text) for at, text in times_of(rows, zone, width // 60)],
        paths=[
            _path(line, [(x(row.at), _at(row.values[i], y)) for row in rows])
            for i, line in enumerate(chart.lines)
        ],
        marks=[
            (x(at), int(at.timestamp()), text)
            for at, text in marks
            if begin <= at.timestamp() <= end
        ],
    )


def _known(rows: Iterable[Row]) -> Iterable[float]:
    return (value for row in rows for value in row.values if value is not None)


def _at(value: Number, y: Any) -> float | None:
    return None if value is None else y(value)


def _path(title: str, points: Sequence[tuple[float, float | None]]) -> Path:
    """Return a line with gaps where there is nothing; what is alone between gaps is a dot."""
    parts: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is not None:
            parts[-1].append((x, y))
        elif parts[-1]:
            parts.append([])
    connected = [f"M{' L'.join(f'{x} {y}' for x, y in part)}" for part in parts if len(part) > 1]
    return Path(title, " ".join(connected), tuple(part[0] for part in parts if len(part) == 1))


def ticks_of(most: float, unit: str) -> list[float]:
    """Return where the lines across are: from 0 to what is at least the largest value."""
    step = _step(most / 4, unit)
    ticks = [0.0]
    while ticks[-1] < most or len(ticks) < 2:
        ticks.append(round(step * len(ticks), 6))
    return ticks


def _step(least: float, unit: str) -> float:
    """Return the next round number that is not less."""
    if unit == "jobs":
        least = max(least, 1)
    elif 1 <= least <= TIMES[-1]:
        return next(each for each in TIMES if each >= least)
    size = 0.001
    while True:
        for factor in (1, 2, 5):
            if size * factor >= least:
                return round(size * factor, 6)
        size *= 10


def worded(value: float, unit: str) -> str:
    """Return a value as an axis says it."""
    if unit == "jobs":
        return f"{value:,.0f}"
    return duration(value) if value else "0"


def times_of(rows: Sequence[Row], zone: ZoneInfo, most: int) -> list[tuple[datetime, str]]:
    """Return the times that are written below, `most` at most: full hours and so on of the zone."""
    length = rows[-1].at - rows[0].at
    every = next((each for each in EVERY if length / each < most), EVERY[-1])
    found, before = [], None
    for row in rows:
        local = row.at.astimezone(zone)
        of_day = timedelta(hours=local.hour, minutes=local.minute)
        part = (local.date(), of_day // every)  # not each zone has its hours where UTC has them
        if part != before and (before is not None or not of_day % every):
            is_day = not part[1] and every >= EVERY[2]
            found.append((row.at, f"{local:%a %d}" if is_day else f"{local:%H:%M}"))
        before = part
    return found
