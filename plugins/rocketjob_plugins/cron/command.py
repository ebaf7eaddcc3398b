"""`rocketjob cron next` and `rocketjob schedules list|sync`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import click

from rocketjob import application
from rocketjob.base import clock
from rocketjob.base.errors import RocketJobError
from rocketjob.cli import Failure, Group, import_app, json_option
from rocketjob.cli.output import Cell, Column, moment, print_json, print_table
from rocketjob.model.types import parse_datetime
from rocketjob_plugins.cron import schedules
from rocketjob_plugins.cron.schedule import CronError, CronSchedule
from rocketjob_plugins.cron.settings import TIME_ZONE

cron = Group("cron", short_help="Try out cron expressions.", help="Try out cron expressions.")
schedules_group = Group(
    "schedules",
    short_help="Sync schedules declared in code to the store.",
    help="Manage the schedules declared in code with @scheduled.",
)


@cron.command(
    "next",
    changes=False,
    short_help="Show when an expression runs next.",
    examples=[
        ("The last day of each month", 'cron next "0 12 L * *" --count 5'),
        ("In New York, when the clocks change", 'cron next "30 2 * * * America/New_York"'),
        ("From a given day", 'cron next "@weekly" --from 2026-03-01'),
    ],
)
@click.argument("expression")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--from", "start", metavar="TIME", help="after this time; default: now")
@click.option("--zone", metavar="NAME", help="for an expression without a zone")
@click.option(
    "--dst",
    type=click.Choice(["safe", "literal"]),
    default="safe",
    show_default=True,
    help="what happens to fixed hours when the clocks change",
)
@json_option
def cron_next(
    expression: str,
    count: int,
    start: str | None,
    zone: str | None,
    dst: Literal["safe", "literal"],
    as_json: bool,
) -> None:
    """Describe EXPRESSION in words, and list its next runs in local time and in UTC."""
    zone = zone or TIME_ZONE.of(application.current().config)
    try:
        schedule = CronSchedule(expression, dst=dst, time_zone=zone)
        after = clock.now() if start is None else parse_datetime(start)
        runs = schedule.next_times(after, count)
    except (CronError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    local = ZoneInfo(schedule.time_zone)
    if as_json:
        for run in runs:
            local_time = run.astimezone(local).isoformat()
            print_json({"utc": run, "local": local_time, "zone": schedule.time_zone})
        return
    click.echo(schedule.describe())
    print_table(
        [Column("LOCAL TIME", fixed=True), Column("UTC", fixed=True)],
        [(f"{run.astimezone(local):%a %Y-%m-%d %H:%M:%S %Z (%z)}", moment(run)) for run in runs],
    )


@schedules_group.command(
    "list",
    changes=False,
    short_help="Show what is declared and what is stored.",
    makes_store=False,
    examples=[("All", "schedules list --app myapp.jobs")],
)
@json_option
def list_schedules(as_json: bool) -> None:
    """Show the schedules that the app's classes declare, and how the store differs."""
    import_app()
    steps = schedules.plan()
    undeclared = list(schedules.undeclared())
    if as_json:
        for step in steps:
            print_json(_row(step))
        for instance in undeclared:
            print_json(
                {
                    "name": instance.name,
                    "class": instance.class_name,
                    "cron_schedule": instance.cron_schedule,
                    "action": "undeclared",
                    "loaded": instance.loaded,
                    "run_at": instance.run_at,
                    "id": instance.id,
                }
            )
        return
    if not steps and not undeclared:
        click.echo("no schedules are declared: mark Cron classes with @scheduled", err=True)
    _print(steps, undeclared)
    for instance in undeclared:
        click.echo(instance.advice, err=True)


@schedules_group.command(
    "sync",
    short_help="Create and update instances as declared.",
    examples=[
        ("On each deploy", "schedules sync --app myapp.jobs"),
        ("Only show what would be done", "schedules sync --app myapp.jobs --dry-run"),
        ("Undo what was edited in the store", "schedules sync --app myapp.jobs --overwrite"),
    ],
)
@click.option("--dry-run", is_flag=True, help="show what would be done, and do nothing")
@click.option(
    "--overwrite", "--force", is_flag=True, help="also reset what was edited in the store"
)
@json_option
def sync_schedules(dry_run: bool, overwrite: bool, as_json: bool) -> None:
    """Create missing instances, and update those whose declaration has changed.

    Edits made in the store since the last sync are kept, unless --overwrite is given.
    """
    if dry_run:
        application.current().look_only()
    import_app()
    failed = False
    for planned in schedules.plan(overwrite=overwrite):
        try:
            step = planned if dry_run else schedules.bring(planned.schedule, overwrite)
        except RocketJobError as error:
            click.echo(f"error: {planned.schedule.name}: {error}", err=True)
            failed = True
            continue
        if as_json:
            print_json({**_row(step), "dry_run": dry_run})
        else:
            click.echo(f"{'would ' if dry_run else ''}{_summary(step)}")
    for instance in schedules.undeclared():
        click.echo(instance.advice, err=True)
    if failed:
        raise Failure("not all schedules could be synced")


def _summary(step: schedules.Step) -> str:
    changes = ", ".join(f"{name}={value!r}" for name, value in step.changes.items())
    kept = ", ".join(
        f"{name}={stored!r} (code: {declared!r})" for name, (stored, declared) in step.kept.items()
    )
    summaries = {
        "create": f"create {step.schedule.name}: {changes}",
        "update": f"update {step.schedule.name}: {changes}",
        "overwrite": f"overwrite {step.schedule.name}: {changes}",
        "nothing": f"leave {step.schedule.name} as it is",
        "keep": f"leave {step.schedule.name} as it is",
    }
    return summaries[step.action] + (f"; edited in the store, kept: {kept}" if kept else "")


def _row(step: schedules.Step) -> dict[str, Any]:
    schedule, job = step.schedule, step.job
    return {
        "name": schedule.name,
        "class": schedule.job_class.type_name(),
        "cron_schedule": schedule.cron_schedule,
        "action": step.action,
        "changes": dict(step.changes),
        "kept": {name: stored for name, (stored, _) in step.kept.items()},
        "run_at": job.run_at if job else None,
        "id": job.id if job else None,
    }


def _print(steps: list[schedules.Step], undeclared: list[schedules.Undeclared]) -> None:
    labels = {"create": "missing", "update": "changed", "keep": "edited", "nothing": "as declared"}
    styles = {"create": "yellow", "update": "yellow", "keep": "cyan"}
    rows: list[tuple[Cell | str, ...]] = []
    for step in steps:
        run_at: datetime | None = step.job.run_at if step.job else None
        cell = Cell(labels.get(step.action, step.action), styles.get(step.action, ""))
        name = step.schedule.job_class.type_name()
        rows.append((step.schedule.name, name, step.schedule.cron_schedule, cell, moment(run_at)))
    for instance in undeclared:
        cell = Cell("undeclared" if instance.loaded else "class not loaded", "red")
        rows.append(
            (
                instance.name,
                instance.class_name,
                instance.cron_schedule,
                cell,
                moment(instance.run_at),
            )
        )
    columns = ("NAME", "CLASS", "SCHEDULE", "STORED", "NEXT RUN")
    if rows:
        print_table([Column(title, fixed=title != "SCHEDULE") for title in columns], rows)
