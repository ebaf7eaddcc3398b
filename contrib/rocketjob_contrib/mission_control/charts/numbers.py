"""What each chart shows, as rows of numbers: the table, the CSV and the chart are made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import attrs

from rocketjob_plugins.metrics.figures import Figures
from rocketjob_plugins.metrics.histogram import Histogram
from rocketjob_plugins.metrics.series import Series

Number = int | float | None
"""Seconds are rounded to milliseconds; None where there was nothing to measure."""


@attrs.frozen
class Chart:
    """One chart.

    Attributes:
        name: in its path.
        says: what is counted or measured.
        unit: `jobs` or `seconds`.
        lines: their titles, which are those of the columns of the table.
        keys: of the columns of the CSV, with the unit.
        of: returns the values of all lines.
    """

    name: str
    title: str
    says: str
    unit: str
    lines: tuple[str, ...]
    keys: tuple[str, ...]
    of: Callable[[Figures], tuple[Number, ...]]


@attrs.frozen
class Row:
    """What a chart shows at one time.

    Attributes:
        at: where the step begins.
    """

    at: datetime
    values: tuple[Number, ...]


def _ends(figures: Figures) -> tuple[Number, ...]:
    return figures.completed, figures.failed, figures.aborted


def _spread(times: Histogram) -> tuple[Number, ...]:
    longest = seconds(times.max) if times.buckets else None
    return seconds(times.quantile(0.5)), seconds(times.quantile(0.95)), longest


def seconds(value: float | None) -> Number:
    """Return a duration as it is shown and downloaded."""
    return None if value is None else round(value, 3)


ENDS, SPREAD = ("completed", "failed", "aborted"), ("p50", "p95", "max")
CHARTS = (
    Chart("throughput", "Throughput", "jobs that ended", "jobs", ENDS, ENDS, _ends),
    Chart(
        "wait",
        "Wait time",
        "how long attempts waited until they were started",
        "seconds",
        SPREAD,
        tuple(f"wait_{each}_seconds" for each in SPREAD),
        lambda figures: _spread(figures.wait),
    ),
    Chart(
        "run",
        "Run time",
        "how long attempts took",
        "seconds",
        SPREAD,
        tuple(f"run_{each}_seconds" for each in SPREAD),
        lambda figures: _spread(figures.run),
    ),
)


def rows_of(charts: Iterable[Chart], series: Series, name: str | None = None) -> list[list[Row]]:
    """Return the rows of each chart, the earliest first.

    Args:
        name: only of this class; None: of all.
    """
    nothing = Figures()
    points = [
        (point.at, point.total if name is None else point.classes.get(name, nothing))
        for point in series.points
    ]
    return [[Row(at, chart.of(figures)) for at, figures in points] for chart in charts]


@attrs.frozen
class Bin:
    """How many attempts waited, and took, so long and longer than the bin before says.

    Attributes:
        bound: seconds, which are a part of it.
    """

    bound: float
    wait: int
    run: int


BIN_COLUMNS = ("up_to_seconds", "wait", "run")


def bins_of(figures: Figures) -> list[Bin]:
    """Return how long attempts waited and took, in bins of which each is twice the one before."""
    found: list[Bin] = []
    wait, run = figures.wait, figures.run
    waited = ran = 0
    for (bound, waited_until), (_, ran_until) in zip(
        wait.cumulative(), run.cumulative(), strict=True
    ):
        here = Bin(bound, waited_until - waited, ran_until - ran)
        if found or here.wait or here.run:
            found.append(here)
        waited, ran = waited_until, ran_until
        if waited == wait.count and ran == run.count:
            break
    return found


@attrs.frozen
class ClassRow:
    """What became of the jobs of one class in all the time that is shown.

    Attributes:
        failed_percent: of those that completed or failed; None without any.
    """

    name: str
    completed: int
    failed: int
    aborted: int
    failed_percent: float | None
    wait_p50: Number
    wait_p95: Number
    run_p50: Number
    run_p95: Number
    run_max: Number
    records_per_second: float


CLASS_COLUMNS = (
    ("class", "Class"),
    ("completed", "Completed"),
    ("failed", "Failed"),
    ("aborted", "Aborted"),
    ("failed_percent", "Failed, %"),
    ("wait_p50_seconds", "Wait p50, s"),
    ("wait_p95_seconds", "Wait p95, s"),
    ("run_p50_seconds", "Run p50, s"),
    ("run_p95_seconds", "Run p95, s"),
    ("run_max_seconds", "Run max, s"),
    ("records_per_second", "Records/s"),
)
"""The names of the columns, in the CSV and in the table."""


def classes_of(series: Series) -> list[ClassRow]:
    """Return a row for each class, that of which most jobs ended first."""
    names = sorted(series.classes, key=lambda name: (-series.classes[name].ended, name))
    return [_class_row(name, series) for name in names]


def _class_row(name: str, series: Series) -> ClassRow:
    figures = series.classes[name]
    wait, run, rate = figures.wait, figures.run, figures.failure_rate
    return ClassRow(
        name,
        figures.completed,
        figures.failed,
        figures.aborted,
        None if rate is None else round(100 * rate, 1),
        seconds(wait.quantile(0.5)),
        seconds(wait.quantile(0.95)),
        seconds(run.quantile(0.5)),
        seconds(run.quantile(0.95)),
        seconds(run.max) if run.buckets else None,
        round(figures.records / max(series.seconds, 1), 1),
    )


def chosen(series: Series, name: str | None) -> Figures:
    """Return what was counted of a class in all the time; None: of all classes."""
    return series.total if name is None else series.classes.get(name, Figures())


def text_of(number: Number) -> str:
    """Return a number as the tables and the CSV have it; empty where there is none."""
    return "" if number is None else str(number)
