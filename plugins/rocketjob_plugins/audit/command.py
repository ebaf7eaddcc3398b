"""`rocketjob audit`: who did what to what, why, and what it was before."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import click
from bson import ObjectId

import rocketjob
from rocketjob.base import clock
from rocketjob.base.text import relative
from rocketjob.cli import Failure, command, json_option
from rocketjob.cli.command import limit_option
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.cli.types import JobId, Since
from rocketjob_plugins.audit.trail import AuditRecord, records


@command(
    "audit",
    changes=False,
    makes_store=False,
    short_help="Show what people have changed, and why.",
    examples=[
        ("What people did today", "audit --since 1d"),
        ("With one job", "audit --job 55aeaf03a26ec0c1bd00008d"),
        ("What somebody did with jobs of a class", "audit --actor ada --class ReportJob"),
        ("For programs", "audit --since 7d --limit 0 --json"),
    ],
)
@click.option("--actor", metavar="NAME", help="by this person")
@click.option("--job", type=JobId(), metavar="ID", help="of the job with this id")
@click.option(
    "--class", "name", metavar="NAME", help="of jobs of this class, or a server or entry so called"
)
@click.option("--since", type=Since(), metavar="TIME", help="from then on, such as 2h or 7d ago")
@limit_option()
@json_option
def audit(
    actor: str | None,
    job: ObjectId | None,
    name: str | None,
    since: datetime | timedelta | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what people have changed by commands and pages, the newest first.

    WHO is the login of a page; of a command the setting actor, or else the login name. What servers
    do by themselves is in the history of each job.
    """
    begin = clock.now() - since if isinstance(since, timedelta) else since
    found = list(records(by=actor, job=job, name=name, since=begin, limit=limit))
    if not found:
        if actor or job or name or since:
            raise Failure("there is no such record")
        days = rocketjob.settings("audit").keep_days
        click.echo(f"no record; they are kept for {days} days", err=True)
    elif as_json:
        for each in found:
            print_json(attrs.asdict(each))
    else:
        print_table(
            [
                Column("AT", fixed=True),
                Column("", fixed=True, spare=1),
                Column("WHO", fixed=True),
                Column("DID", fixed=True),
                Column("WHAT", least=20),
                Column("CHANGE", wraps=True, least=20),
                Column("REASON", wraps=True, least=10),
                Column("BY", spare=2, least=10),
            ],
            [_row(each) for each in found],
        )


def _row(each: AuditRecord) -> list[Cell | str]:
    return [
        f"{each.at:%Y-%m-%d %H:%M:%S}",
        relative(each.at),
        each.by or "somebody",
        Cell(each.event, "bold"),
        each.what,
        each.change,
        each.reason or "",
        each.how,
    ]
