"""`rocketjob jobs retry`, `abort` and so on: one event for some jobs, or for all that match."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import click
from bson import ObjectId

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import InvalidTransition, RocketJobError
from rocketjob.cli.command import Group, json_option
from rocketjob.cli.errors import FAILURE
from rocketjob.cli.job_json import EVENTS, class_name
from rocketjob.cli.output import print_json, styled
from rocketjob.cli.selection import Selection, checked, selection_options
from rocketjob.cli.session import import_app
from rocketjob.cli.types import JobId

MAX_KINDS = 6  # told in a question
Kinds = dict[ObjectId, str]
"""Jobs by id, each with its state and class."""


class Wording(NamedTuple):
    """How a command is described."""

    done: str
    summary: str


WORDING = {
    "retry": Wording("retried", "Queue failed jobs again."),
    "abort": Wording("aborted", "Give jobs up for good."),
    "pause": Wording("paused", "Pause jobs until they are resumed."),
    "resume": Wording("resumed", "Resume paused jobs."),
    "fail": Wording("failed", "Fail jobs, with a reason."),
    "run-now": Wording("queued for now", "Make scheduled jobs due now."),
    "destroy": Wording("destroyed", "Remove jobs, with their callbacks."),
}


class Outcome(NamedTuple):
    """What happened to one job."""

    id: ObjectId
    name: str | None
    source: str | None
    target: str | None
    error: str | None = None


def add_commands(group: Group) -> None:
    """Add a command for every event to the group `jobs`."""
    for name in EVENTS:
        group.add_command(_command(group, name))


def _command(group: Group, name: str) -> click.Command:
    def call(ctx: click.Context, **arguments: Any) -> None:
        run(name, ctx, **arguments)

    call.__doc__ = (
        f"{WORDING[name].summary}\n\n"
        "Give the ids of jobs, or take all that match the options. What happened to each is "
        "printed; one that cannot be changed does not stop the others, and makes the exit code 1."
    )
    decorators: list[Callable[[Any], Any]] = [
        click.argument("ids", nargs=-1, type=JobId(), metavar="[ID]..."),
        click.option("--all-matching", is_flag=True, help="all jobs that match the options below"),
        selection_options,
        click.option("-y", "--yes", is_flag=True, help="do not ask for confirmation"),
        json_option,
        click.pass_context,
    ]
    if name == "fail":
        reason = click.option("--reason", metavar="TEXT", help="why; kept as the job's exception")
        decorators.insert(1, reason)
    function: Any = call
    for decorate in reversed(decorators):
        function = decorate(function)
    return group.command_class(
        name,
        callback=function,
        params=list(reversed(getattr(function, "__click_params__", []))),
        help=call.__doc__,
        short_help=WORDING[name].summary,
        examples=_examples(name),
    )


def _examples(name: str) -> list[tuple[str, str]]:
    id = "55aeaf03a26ec0c1bd00008d"
    reason = ' --reason "wrong file"' if name == "fail" else ""
    state = {"retry": " --state failed", "run-now": " --state scheduled"}.get(name, "")
    return [
        ("One job", f"jobs {name} {id}{reason}"),
        (
            "All of one class",
            f"jobs {name} --all-matching --class ReportJob{state}{reason}",
        ),
        (
            "In a script, without confirmation",
            f"jobs {name} --all-matching --class ReportJob --priority 90 --yes{reason}",
        ),
    ]


def run(
    name: str,
    ctx: click.Context,
    ids: tuple[ObjectId, ...],
    all_matching: bool,
    selection: Selection,
    yes: bool,
    as_json: bool,
    reason: str | None = None,
) -> None:
    """Fire an event on the jobs that are named or selected, and print what happened to each."""
    _check_usage(ctx, ids, all_matching, selection)
    import_app()
    kinds = _matching(name, selection) if all_matching else _named(ids)
    if len(kinds) > 1 and not yes:
        _confirm(ctx, name, kinds)
    arguments = {"reason": reason} if reason is not None else {}
    failed = 0
    for id in kinds:
        outcome = _fire(id, name, arguments)
        failed += outcome.error is not None
        _print(outcome, name, as_json)
    if len(kinds) != 1:
        _print_summary(name, len(kinds) - failed, failed)
    if failed:
        ctx.exit(FAILURE)


def _check_usage(
    ctx: click.Context, ids: tuple[ObjectId, ...], all_matching: bool, selection: Selection
) -> None:
    if ids and all_matching:
        raise click.UsageError("give ids or --all-matching, not both", ctx)
    if not all_matching and selection != Selection():
        raise click.UsageError("add --all-matching to take all jobs that match the options", ctx)
    if not ids and not all_matching:
        raise click.UsageError("give the ID of a job, or --all-matching with options", ctx)


def _named(ids: tuple[ObjectId, ...]) -> Kinds:
    """Return each named job once, including missing ones, which are reported."""
    rows = Job.where({"_id": {"$in": list(ids)}}).pluck("id", "_type", "state")
    kinds = {id: f"{state} {name}" for id, name, state in rows}
    return {id: kinds.get(id, "missing") for id in ids}


def _matching(name: str, selection: Selection) -> Kinds:
    """Return the selected jobs whose state allows the event, the oldest first."""
    query = checked(selection.query)
    event = Job.__events__.get(EVENTS[name])
    if event is not None:
        states = sorted({state for transition in event.transitions for state in transition.sources})
        query = query.where({"state": {"$in": states}})
    rows = checked(lambda: query.order_by("id").pluck("id", "_type", "state"))
    return {id: f"{state} {kind}" for id, kind, state in rows}


def _confirm(ctx: click.Context, name: str, kinds: Kinds) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would {name} {len(kinds)} jobs: add --yes to do it", ctx)
    click.echo(f"This would {name} {len(kinds)} jobs: {_breakdown(kinds)}", err=True)
    if not click.confirm("Go on?", err=True):
        click.echo("nothing was changed", err=True)
        ctx.exit(FAILURE)


def _breakdown(kinds: Kinds) -> str:
    counted = Counter(kinds.values()).most_common()
    rest = f" and {len(counted) - MAX_KINDS} more kinds" if len(counted) > MAX_KINDS else ""
    return ", ".join(f"{number} {what}" for what, number in counted[:MAX_KINDS]) + rest


def _fire(id: ObjectId, name: str, arguments: dict[str, Any]) -> Outcome:
    stored = Job.collection().find_one({"_id": id})
    if stored is None:
        return Outcome(id, None, None, None, "there is no job with this id")
    job = Job.listed(stored)
    source = job.state
    try:
        getattr(job, EVENTS[name])(**arguments)
    except RocketJobError as error:
        missing = isinstance(job, UnknownJob) and job.error is None
        hint = "; --app MODULE loads its class" if missing else ""
        return Outcome(id, class_name(job), source, source, str(_by_commands(name, error)) + hint)
    except Exception as error:  # a callback of the class; the others go on
        return Outcome(id, class_name(job), source, None, f"{type(error).__name__}: {error}")
    return Outcome(id, class_name(job), source, None if name == "destroy" else job.state)


def _by_commands(name: str, error: RocketJobError) -> RocketJobError:
    """Return a refusal that names the possible commands, not the events."""
    if not isinstance(error, InvalidTransition) or error.event != EVENTS[name]:
        return error
    possible = [
        command for command, event in EVENTS.items() if event in (*error.allowed, "destroy")
    ]
    return InvalidTransition(name, error.state, possible, error.guard)


def _print(outcome: Outcome, name: str, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "id": str(outcome.id),
                "class": outcome.name,
                "event": EVENTS[name],
                "ok": outcome.error is None,
                "from": outcome.source,
                "state": outcome.target,
                "error": outcome.error,
            }
        )
    elif outcome.error is not None:
        click.echo(f"{styled('error:', fg='red')} {outcome.id}: {outcome.error}", err=True)
    else:
        change = f"{outcome.source} -> {outcome.target or 'destroyed'}"
        click.echo(f"{outcome.id}  {outcome.name}  {change}")


def _print_summary(name: str, done: int, failed: int) -> None:
    text = f"{done} {WORDING[name].done}"
    click.echo(text + (f", {failed} not" if failed else ""), err=True)
