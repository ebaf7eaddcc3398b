"""`rocketjob schedule`: what runs by a schedule, when next, and what became of the last runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from rocketjob.base.text import relative, span
from rocketjob.cli import command, json_option
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob_plugins.cron.series import MISSED, Series, all_series

NEXT = 5
NEAR = timedelta(days=300)  # whose year goes without saying
MARKS = {"completed": "●", "failed": "✗", "aborted": "-"}
COLUMNS = (
    Column("CLASS", least=20),
    Column("WHEN", least=18, wraps=True, spare=1),
    Column("STATE", fixed=True),
    Column("NEXT RUN", fixed=True),
    Column("IN", fixed=True, spare=4),
    Column("LAST RUNS", fixed=True, spare=3),
    Column("LAST", fixed=True, spare=2),
    Column("MISSED", fixed=True, right=True, spare=5),
)


@command(
    "schedule",
    makes_store=False,
    changes=False,
    examples=[
        ("Everything that runs by a schedule", "schedule"),
        ("For a script, with the next five times of each", "schedule --json"),
    ],
)
@json_option
def schedule(as_json: bool) -> None:
    """Show every job that runs by a schedule: when next, and what became of its last runs.

    Times are those of the schedule's own zone. MISSED counts the times since the last run that had
    no run of their own, as nothing ran then, or the run before took too long.
    """
    found = all_series()
    if as_json:
        for each in found.series:
            print_json(as_object(each))
    elif not found.series:
        click.echo("nothing runs by a schedule: create a job of a class with Cron", err=True)
    else:
        print_table(COLUMNS, [_row(each) for each in found.series])
    if not found.is_all:
        click.echo("there may be more: only the jobs that run next were looked at", err=True)


def as_object(series: Series) -> dict[str, Any]:
    """Return a series for programs."""
    last = series.overdue
    return {
        "id": series.stored["_id"],
        "class": series.class_name,
        "name": series.name,
        "cron_schedule": series.expression,
        "description": series.words,
        "problem": series.problem,
        "zone": series.zone and series.zone.key,
        "state": series.state,
        "run_at": series.run_at,
        "overdue_seconds": last and last.total_seconds(),
        "missed": series.missed(),
        "next": series.next_times(NEXT),
        "usual_seconds": series.usual_seconds,
        "runs": [
            {
                "id": run.id,
                "state": run.state,
                "occurrence": run.occurrence,
                "ended_at": run.ended_at,
                "seconds": run.seconds,
            }
            for run in series.runs
        ],
    }


def _row(series: Series) -> tuple[Cell | str, ...]:
    name, next_times = series.name, series.next_times(1)
    title = f"{series.class_name} ({name})" if name else series.class_name
    missed = series.missed()
    return (
        title,
        series.words,
        _state(series),
        _local(series, next_times[0]) if next_times and not series.is_paused else "",
        relative(next_times[0]).removeprefix("in ") if next_times and not series.is_paused else "",
        "".join(MARKS.get(run.state, "?") for run in series.runs),
        _last(series),
        f"{missed}{'+' if missed == MISSED else ''}" if missed else "",
    )


def _state(series: Series) -> Cell:
    if series.problem is not None:
        return Cell("wrong", "red")
    if series.overdue is not None:
        return Cell(f"overdue {span(series.overdue.total_seconds(), 2)}", "red")
    styles = {"paused": "yellow", "running": "cyan"}
    shown = "scheduled" if series.state == "queued" else series.state
    return Cell(shown, styles.get(series.state, ""))


def _local(series: Series, at: datetime) -> str:
    local = at.astimezone(series.zone)
    is_near = at - series.now < NEAR
    return f"{local:%a %m-%d %H:%M %Z}" if is_near else f"{local:%a %Y-%m-%d %H:%M %Z}"


def _last(series: Series) -> Cell:
    last = series.last
    if last is None:
        return Cell("")
    took = "" if last.seconds is None else f" in {span(last.seconds, 2)}"
    style = {"completed": "green", "failed": "red"}.get(last.state, "")
    return Cell(f"{last.state}{took}, {relative(last.ended_at)}", style)
