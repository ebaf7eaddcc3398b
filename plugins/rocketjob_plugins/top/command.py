"""The command `rocketjob top`."""

from __future__ import annotations

import contextlib
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from rocketjob.base import acts
from rocketjob.cli.command import command, json_option
from rocketjob.cli.output import print_json, terminal_width
from rocketjob.cli.session import fits_terminal, import_app
from rocketjob.cli.types import DURATION

if TYPE_CHECKING:
    from rocketjob_plugins.top.desk import Desk
    from rocketjob_plugins.top.look import Row, Snapshot

SHORTEST = timedelta(seconds=0.2)
WIDE = 120  # columns where there is no terminal


@command(
    "top",
    section="Manage jobs",
    makes_store=False,
    examples=[
        ("Until q is pressed", "top"),
        ("Once, to be sent to somebody", "top --once"),
        ("For a script", "top --json | jq -r .verdict"),
    ],
)
@click.option("--once", is_flag=True, help="show it once; so it is where there is no terminal")
@json_option
@click.option(
    "--interval", type=DURATION, default="2s", show_default=True, help="between two looks"
)
def top(once: bool, as_json: bool, interval: timedelta) -> None:
    """Show the whole at a glance, live: what is wrong, servers, jobs, throughput.

    Choose a job with the arrow keys, then p pauses, r retries or resumes, and a aborts it, once you
    have said y. ? shows all keys, and q quits.
    """
    if interval < SHORTEST:
        least = f"must be {SHORTEST.total_seconds()}s or more"
        raise click.BadParameter(least, param_hint="--interval")
    from rocketjob_plugins.top.desk import Desk  # all three for start-up time
    from rocketjob_plugins.top.frame import frame
    from rocketjob_plugins.top.look import Looker

    import_app(lenient=True)
    act = acts.present()
    desk = Desk(by=act.by if act else None, reason=act.reason if act else None)
    if as_json:
        print_json(described(Looker().look(desk.tab)))
    elif once or not (fits_terminal() and sys.stdin.isatty()):
        desk.snapshot = Looker().look(desk.tab)
        width = terminal_width() if fits_terminal() else WIDE
        for line in frame(desk, width):
            click.echo(line.rstrip())
    else:
        _live(desk, interval.total_seconds())


def _live(desk: Desk, seconds: float) -> None:
    from rocketjob_plugins.top.live import watch  # for start-up time

    with contextlib.suppress(KeyboardInterrupt):
        watch(desk, seconds)
    if (doing := desk.doing) is not None:
        raise click.ClickException(
            f"it is not known whether {doing.job} {doing.deed.done}: the store has not answered yet"
        )
    if desk.message:
        click.echo(desk.message)


def described(seen: Snapshot) -> dict[str, Any]:
    """Return what was seen, for programs."""
    from rocketjob.cli.servers import described as server  # for start-up time

    series = seen.series
    return {
        "at": seen.at,
        "verdict": seen.verdict.level.word,
        "causes": list(seen.verdict.causes),
        "servers": [
            {**server(each), "version": each.version, "memory": each.memory}
            for each in seen.servers
        ],
        "workers": seen.workers,
        "busy": seen.busy,
        "jobs": seen.counts,
        "running": [_row(row) for row in seen.rows],
        "per_minute": series and series.per_minute(series.total),
        "failure_rate": series and series.total.failure_rate,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "class": row.name,
        "percent": row.percent,
        "seconds": row.seconds,
        "worker": row.workers,
        "note": row.note,
    }
