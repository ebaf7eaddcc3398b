"""`rocketjob metrics`: how many jobs there were, how long they waited and took, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from rocketjob.base import clock
from rocketjob.base.text import did_you_mean
from rocketjob.cli import Failure, command, json_option
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.cli.session import fits_terminal
from rocketjob.cli.types import STORED_CLASS, Since
from rocketjob_plugins.metrics.command_measures import show_measures
from rocketjob_plugins.metrics.figures import Figures, total
from rocketjob_plugins.metrics.present import sparkline, spread, spread_as_json
from rocketjob_plugins.metrics.series import By, MetricsError, Series, read

COLUMNS = (
    Column("CLASS", least=20),
    Column("DONE", fixed=True, right=True),
    Column("FAILED", fixed=True, right=True),
    Column("FAIL%", fixed=True, right=True),
    Column("RETRIED", fixed=True, right=True, spare=2),
    Column("ABORTED", fixed=True, right=True, spare=3),
    Column("CRASHED", fixed=True, right=True, spare=2),
    Column("PER MIN", fixed=True, right=True),
    Column("WAIT p50/p95/max", fixed=True, right=True, spare=1),
    Column("RUN p50/p95/max", fixed=True, right=True),
    Column("RECORDS", fixed=True, right=True, spare=4),
)
TREND = Column("ENDED", fixed=True, spare=5)


@command(
    "metrics",
    makes_store=False,
    changes=False,
    examples=[
        ("The last hour", "metrics"),
        ("The last day of one class, by the hour", "metrics --since 24h --class ReportJob"),
        ("For a script", "metrics --since 7d --json"),
    ],
)
@click.option("--class", "classes", type=STORED_CLASS, multiple=True, help="only this class")
@click.option("--since", type=Since(), default="1h", show_default=True, help="from then on")
@click.option("--until", type=Since(), help="until then; default: now")
@click.option(
    "--by", type=click.Choice(["minute", "hour"]), help="default: minute for up to 8h, else hour"
)
@click.option("--of-plugins", is_flag=True, help="what plugins count and measure instead")
@json_option
def metrics(
    classes: tuple[str, ...],
    since: datetime | timedelta,
    until: datetime | timedelta | None,
    by: By | None,
    of_plugins: bool,
    as_json: bool,
) -> None:
    """Show what became of the jobs: how many, how long they waited and took, what failed.

    DONE, FAILED and ABORTED count jobs; RETRIED failed attempts that were followed by another, and
    CRASHED performs whose worker process died. FAIL% is of the jobs that were done or failed.
    """
    if of_plugins and classes:
        raise click.UsageError("--class and --of-plugins cannot be given together")
    now = clock.now()  # once, or eight hours were a little more, and shown by the hour
    begin, end = (
        now - each if isinstance(each, timedelta) else each for each in (since, until or now)
    )
    try:
        series = read(begin, end, by=by)
    except MetricsError as error:
        raise click.UsageError(str(error)) from None
    if of_plugins:
        return show_measures(series, as_json)
    names = _chosen(series, classes)
    if as_json:
        for name in names:
            print_json(_object(series, name))
    elif not names:
        click.echo(f"no job has ended {_when(series)}", err=True)
    else:
        _print(series, names)


def _chosen(series: Series, wanted: Sequence[str]) -> list[str]:
    """Return the names of the classes to show.

    Raises:
        Failure: one of those that are asked for has nothing to show.
    """
    known = sorted(series.classes)
    if missing := [name for name in wanted if name not in series.classes]:
        there_are = f"there are {', '.join(known)}" if known else "nor of any other class"
        hint = did_you_mean(missing[0], known, there_are)
        raise Failure(f"no job of the class {missing[0]} has ended {_when(series)}; {hint}")
    return [name for name in known if not wanted or name in wanted]


def _when(series: Series) -> str:
    return f"from {series.since:%Y-%m-%d %H:%M} to {series.until:%Y-%m-%d %H:%M} UTC"


# --- tables ------------------------------------------------------------------------------------


def _print(series: Series, names: list[str]) -> None:
    step = "minute" if series.step.total_seconds() == 60 else "hour"
    click.echo(f"{_when(series)}, by the {step}")
    columns = (*COLUMNS, TREND) if fits_terminal() else COLUMNS
    rows = [_row(series, name, series.classes[name], series.of(name)) for name in names]
    if len(names) > 1:
        of_all = [point.total for point in series.points]
        whole = of_all if len(names) == len(series.classes) else _sums(series, names)
        rows.append(_row(series, "all", total(whole), whole))
    print_table(columns, [row[: len(columns)] for row in rows])


def _sums(series: Series, names: list[str]) -> list[Figures]:
    return [total(each) for each in zip(*(series.of(name) for name in names), strict=True)]


def _row(
    series: Series, name: str, figures: Figures, points: list[Figures]
) -> tuple[Cell | str, ...]:
    rate = figures.failure_rate
    return (
        name,
        f"{figures.completed:,}",
        Cell(f"{figures.failed:,}", "red" if figures.failed else ""),
        "" if rate is None else f"{100 * rate:.1f}",
        f"{figures.retried:,}",
        f"{figures.aborted:,}",
        Cell(f"{figures.crashed:,}", "red" if figures.crashed else ""),
        f"{series.per_minute(figures):,.1f}",
        spread(figures.wait),
        spread(figures.run),
        f"{figures.records:,}" if figures.records else "",
        sparkline([point.ended for point in points]),
    )


# --- JSON --------------------------------------------------------------------------------------


def _object(series: Series, name: str) -> dict[str, Any]:
    return {
        "class": name,
        "since": series.since,
        "until": series.until,
        "step": series.step,
        **_as_json(series.classes[name]),
        "per_minute": series.per_minute(series.classes[name]),
        "points": list(_points(series, name)),
    }


def _points(series: Series, name: str) -> Iterator[dict[str, Any]]:
    for point in series.points:
        if name in point.classes:
            yield {"at": point.at, **_as_json(point.classes[name])}


def _as_json(figures: Figures) -> dict[str, Any]:
    return {
        "completed": figures.completed,
        "failed": figures.failed,
        "aborted": figures.aborted,
        "retried": figures.retried,
        "snoozed": figures.count("snoozed"),
        "requeued": figures.count("requeued"),
        "crashed": figures.crashed,
        "slices": figures.count("slices"),
        "failed_slices": figures.count("failed_slices"),
        "records": figures.records,
        "rejects": figures.rejects,
        "failure_rate": figures.failure_rate,
        "wait": spread_as_json(figures.wait),
        "run": spread_as_json(figures.run),
    }
