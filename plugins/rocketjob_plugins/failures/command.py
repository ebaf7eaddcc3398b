"""`rocketjob failures`: what has failed, in groups; one group; to retry or acknowledge it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from rocketjob.base import acts, clock
from rocketjob.base.text import counted, hinted, relative
from rocketjob.cli import Failure, command, json_option
from rocketjob.cli.output import Cell, Column, print_heading, print_json, print_pairs, print_table
from rocketjob.cli.session import import_app
from rocketjob.cli.types import STORED_CLASS, Since
from rocketjob_plugins.failures.acknowledged import acknowledge
from rocketjob_plugins.failures.groups import Group, groups_of, trend
from rocketjob_plugins.failures.looking import Failures, look
from rocketjob_plugins.failures.retrying import Plan, plan_for, retry
from rocketjob_plugins.metrics.present import sparkline

MESSAGES = 20  # shown of a group
JOBS = 20
COLUMNS = (
    Column("COUNT", fixed=True, right=True),
    Column("JOBS", fixed=True, right=True, spare=2),
    Column("WHAT", wraps=True, least=30),
    Column("TREND", fixed=True, spare=3),
    Column("FIRST", fixed=True, right=True, spare=1),
    Column("LAST", fixed=True, right=True),
    Column("GROUP", fixed=True),
)


@command(
    "failures",
    section="Manage jobs",
    makes_store=False,
    examples=[
        ("All groups, the latest first", "failures"),
        ("Of one class in the last hour", "failures --class ReportJob --since 1h"),
        ("The messages and jobs of one group", "failures 3f0c52aa91b7d4e8"),
        ("All of it again", "failures 3f0c52aa91b7d4e8 --retry"),
        ("It was seen: no longer FAILING for it", "failures 3f0c52aa91b7d4e8 --acknowledge"),
        ("For a script", "failures --since 1h --json | jq .count"),
    ],
)
@click.argument("group", required=False)
@click.option("--class", "name", type=STORED_CLASS, metavar="NAME", help="of jobs of this class")
@click.option("--since", type=Since(), metavar="TIME", help="from then on, such as 2h or 7d ago")
@click.option("--retry", "retries", is_flag=True, help="retry all of the group")
@click.option("--acknowledge", "seen", is_flag=True, help="note that you have seen the group")
@click.option("-y", "--yes", is_flag=True, help="do not ask for confirmation")
@json_option
@click.pass_context
def failures(
    ctx: click.Context,
    group: str | None,
    name: str | None,
    since: datetime | timedelta | None,
    retries: bool,
    seen: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what has failed, in groups: failed jobs, and failed slices of batch jobs.

    A group has one class, one exception, and one pattern of messages, in which # stands for a
    number and … for what was quoted. A retry takes each job only as it was seen: one that has been
    retried meanwhile, or has failed anew, is left alone. What is acknowledged is no longer a reason
    for FAILING or WATCH, until something of the group fails anew.
    """
    if (retries or seen) and group is None:
        raise click.UsageError("name the GROUP to retry or to acknowledge", ctx)
    if retries and seen:
        raise click.UsageError("give --retry or --acknowledge, not both", ctx)
    import_app(lenient=True)
    found = look(seconds=None)
    begin = clock.now() - since if isinstance(since, timedelta) else since
    groups = groups_of(found, since=begin, name=name)
    if group is None:
        _list(groups, found, begin, as_json)
    elif retries:
        _retry(ctx, _one(groups, group), yes, as_json)
    elif seen:
        _acknowledge(_one(groups, group))
    else:
        _show(_one(groups, group), as_json)
    for remark in found.remarks:
        click.echo(remark, err=True)


def _one(groups: Sequence[Group], key: str) -> Group:
    """Return the group of a key, or of the beginning of one."""
    matching = [group for group in groups if len(key) >= 4 and group.key.startswith(key.lower())]
    if len(matching) == 1:
        return matching[0]
    problem = f"there is no group {key}" if not matching else f"{key} begins several groups"
    raise Failure(hinted(problem, key, [group.key for group in groups]))


# --- looking -------------------------------------------------------------------------------------


def _list(groups: Sequence[Group], found: Failures, begin: datetime | None, as_json: bool) -> None:
    if as_json:
        for group in groups:
            print_json(described(group, begin))
    elif groups:
        print_table(COLUMNS, [_row(group, begin) for group in groups])
    elif not found.is_partial:
        click.echo("nothing has failed, or is still failed", err=True)


def _row(group: Group, begin: datetime | None) -> list[Cell | str]:
    return [
        Cell(f"{group.count:,}", "" if not group.unseen else "red"),
        f"{len(group.jobs):,}",
        f"{group.title}{' (acknowledged)' if not group.unseen else ''}",
        sparkline(trend(group, begin)),
        relative(group.first),
        relative(group.last),
        group.key,
    ]


def described(group: Group, begin: datetime | None = None) -> dict[str, Any]:
    """Return a group for programs.

    Args:
        begin: of the trend; None: when the first failed.
    """
    return {
        "group": group.key,
        "class": group.name,
        "exception": group.error,
        "pattern": group.pattern,
        "count": group.count,
        "jobs": len(group.jobs),
        "slices": group.slices,
        "first": group.first,
        "last": group.last,
        "trend": trend(group, begin),
        "messages": [
            {"message": text, "count": number} for text, number in group.messages[:MESSAGES]
        ],
        "distinct": len(group.messages),
        "job_ids": group.jobs[:JOBS],
        "acknowledged": group.acknowledged,
        "unseen": len(group.unseen),
    }


def _show(group: Group, as_json: bool) -> None:
    if as_json:
        return print_json(described(group))
    print_heading(group.title)
    seen = group.acknowledged
    pairs = [
        ("Failed", f"{group.words}, of {counted(len(group.jobs), 'job')}"),
        ("First", relative(group.first)),
        ("Last", relative(group.last)),
        ("Trend", sparkline(trend(group))),
    ]
    if seen is not None:
        by = f" by {seen.by}" if seen.by else ""
        since = f", {counted(len(group.unseen), 'failure')} since" if group.unseen else ""
        pairs.append(("Acknowledged", f"{relative(seen.at)}{by}{since}"))
    print_pairs(pairs)
    print_heading("Messages")
    for text, number in group.messages[:MESSAGES]:
        print_pairs([(f"{number:,}", text)])
    _more(len(group.messages), MESSAGES, "message")
    print_heading("Jobs")
    for id in group.jobs[:JOBS]:
        click.echo(f"{id}")
    _more(len(group.jobs), JOBS, "job")


def _more(number: int, shown: int, noun: str) -> None:
    if number > shown:
        click.echo(f"and {counted(number - shown, f'more {noun}')}")


# --- acting --------------------------------------------------------------------------------------


def _retry(ctx: click.Context, group: Group, yes: bool, as_json: bool) -> None:
    plan = plan_for(group)
    if plan.count > 1 and not yes:
        _confirm(ctx, group, plan)
    act = acts.present()
    outcome = retry(plan, by=act.by if act else None)
    if as_json:
        names = ("jobs", "slices", "skipped", "refused")
        counts = {name: getattr(outcome, name) for name in names}
        failed = [{"id": id, "error": why} for id, why in outcome.failed.items()]
        print_json({"group": group.key, **counts, "failed": failed, "later": plan.later})
    else:
        for id, why in outcome.failed.items():
            click.echo(f"{id}: {why}", err=True)
        click.echo(outcome.sentence)
        if plan.later:
            click.echo(f"{plan.later:,} are left: retry the group again")
    if outcome.failed or not outcome.done:
        ctx.exit(1)


def _confirm(ctx: click.Context, group: Group, plan: Plan) -> None:
    click.echo(group.title, err=True)
    for sentence in plan.sentences:
        click.echo(sentence, err=True)
    if not sys.stdin.isatty():
        raise click.UsageError("add --yes to do it", ctx)
    if not click.confirm("Go on?", err=True):
        click.echo("nothing was changed", err=True)
        ctx.exit(1)


def _acknowledge(group: Group) -> None:
    acknowledge(group)
    click.echo(f"acknowledged: {group.title}, {group.words}")
