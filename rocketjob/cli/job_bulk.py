"""`--bulk`: one action on all jobs that match, by a job of its own where there are very many."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from rocketjob import Job
from rocketjob.base.text import counted
from rocketjob.cli.errors import FAILURE, BadInput
from rocketjob.cli.output import print_json
from rocketjob.cli.selection import Selection, checked
from rocketjob.jobs.bulk import DONE, BulkAction, Outcome, Preview, counted_by_word
from rocketjob.model.registry import stored_names

F = TypeVar("F", bound=Callable[..., Any])
WORD = "destroy"  # to be typed before many are
MAX_KINDS = 6  # told in a question


def bulk_options(function: F) -> F:
    """Decorate a command with the options of bulk actions; it takes `bulk` and `also_later`."""
    bulk = click.option(
        "--bulk",
        is_flag=True,
        help="all jobs that match the options below; a job does it where there are very many",
    )
    later = click.option(
        "--also-later",
        is_flag=True,
        help="with --bulk: also jobs that come to match until it gets to them",
    )
    return bulk(later(function))


def run_bulk(
    ctx: click.Context,
    event: str,
    selection: Selection,
    *,
    yes: bool,
    as_json: bool,
    show: Callable[[Outcome], None],
    here: bool = False,
    done: str | None = None,
    **more: Any,
) -> None:
    """Make an event of all that match, here or by a job; print what became of each, or the job.

    Args:
        show: prints what became of one job.
        here: by no job, however many they are.
        done: what was done, such as `retried`; None: all is counted that became of them.
        more: of the `BulkAction`.
    """
    action = _action(selection, event, more)
    preview: Preview = checked(action.preview)
    name = event.replace("_", " ")
    if preview.count > 1 and not yes:
        _confirm(ctx, name, preview, _kinds(action) if here else None)
    job = action.hand_over(preview.count) if preview.count and not here else None
    if job is not None:
        _print_job(job, name, preview.count, as_json)
        return
    outcomes = []
    for outcome in action.do_at_once(preview.count) if preview.count else ():
        outcomes.append(outcome)
        show(outcome)
    counts = counted_by_word(outcomes, preview.count)
    if done is None:
        click.echo(f"{name}: {told(counts)}", err=True)
    elif preview.count != 1:
        click.echo(summary(counts[DONE], preview.count, done), err=True)
    if counts[DONE] < preview.count:
        ctx.exit(FAILURE)


def summary(number: int, of: int, done: str) -> str:
    """Say how many were done, and how many not, if any."""
    return f"{number} {done}" + (f", {of - number} not" if number < of else "")


def told(counts: Mapping[str, int]) -> str:
    """Say how many were done, and how many were skipped, refused or failed, if any were."""
    return ", ".join(f"{n:,} {word}" for word, n in counts.items() if n or word == DONE)


def _action(selection: Selection, event: str, more: Mapping[str, Any]) -> BulkAction:
    query = checked(selection.query)
    try:
        return BulkAction.on(query, event, **more)
    except ValueError as error:
        raise BadInput(str(error)) from error


def _kinds(action: BulkAction) -> str:
    """Say how many jobs of which state and class there are."""
    rows = Job.where(action.possible()).pluck("_type", "state")
    return breakdown(f"{state} {stored_names(str(name))[0]}" for name, state in rows)


def breakdown(kinds: Iterable[str]) -> str:
    """Say how many there are of each kind, the most first."""
    return _most(dict(Counter(kinds).most_common()))


def _confirm(ctx: click.Context, name: str, preview: Preview, kinds: str | None) -> None:
    """Ask whether it is meant.

    Args:
        kinds: of the jobs; None: these are told by state and by class, which is quicker.
    """
    jobs = counted(preview.count, "job")
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would {name} {jobs}: add --yes to do it", ctx)
    by_class = f"({_most(preview.by_state)}): {_most(preview.by_class)}"
    told = f" {by_class}" if kinds is None else f": {kinds}"
    click.echo(f"This would {name} {jobs}{told}", err=True)
    if preview.left_alone:
        click.echo(f"{preview.left_alone:,} more match, in states that do not allow it", err=True)
    if name == WORD:
        go_on = click.prompt(f"Type {WORD} to go on", default="", show_default=False, err=True)
        confirmed = go_on.strip().casefold() == WORD
    else:
        confirmed = click.confirm("Go on?", err=True)
    if not confirmed:
        click.echo("nothing was changed", err=True)
        ctx.exit(FAILURE)


def _most(counts: Mapping[str, int]) -> str:
    shown = [f"{number:,} {what}" for what, number in list(counts.items())[:MAX_KINDS]]
    rest = len(counts) - MAX_KINDS
    return ", ".join([*shown, f"and {rest} more"] if rest > 0 else shown)


def _print_job(job: Job, name: str, count: int, as_json: bool) -> None:
    from rocketjob.server.server import Server  # for start-up time

    if as_json:
        print_json({"job": str(job.id), "class": type(job).__name__, "count": count})
    else:
        click.echo(f"{job.id}  {type(job).__name__}  {job.state}")
    text = f"that job will {name} {counted(count, 'job')}: rocketjob jobs show {job.id}"
    click.echo(text, err=True)
    if not Server.where(state="running").exists():
        click.echo("no server is running that could run it: rocketjob server", err=True)
