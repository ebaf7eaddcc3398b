"""`rocketjob jobs retry`, `abort` and so on: one event for some jobs, or for all that match."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import click
from bson import ObjectId

from rocketjob import Job, UnknownJob
from rocketjob.base.errors import InvalidTransition, RocketJobError
from rocketjob.cli.command import Group, json_option
from rocketjob.cli.errors import FAILURE, BadInput
from rocketjob.cli.job_bulk import breakdown, bulk_options, run_bulk, summary
from rocketjob.cli.job_json import COMMANDS, event_commands
from rocketjob.cli.output import print_json, styled
from rocketjob.cli.selection import Selection, selection_options
from rocketjob.cli.session import import_app, installed_plugins, session_of
from rocketjob.cli.types import JobId
from rocketjob.jobs import bulk as bulk_actions
from rocketjob.jobs.shown import class_name
from rocketjob.model.registry import stored_names
from rocketjob.states.state import EventCommand

Kinds = dict[ObjectId, str]
"""Jobs by id, each with its state and class."""


class Outcome(NamedTuple):
    """What happened to one job."""

    id: ObjectId
    name: str | None
    source: str | None
    target: str | None
    error: str | None = None


class JobsGroup(Group):
    """The group `jobs`: its own commands, and those for the events of plugins' states."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return sorted({*own, *self._of_plugins(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        command = self._of_plugins(ctx).get(name)
        return None if command is None else _command(self, command)

    def _unknown(self, ctx: click.Context, name: str) -> str:
        problem = super()._unknown(ctx, name)
        end = "" if problem.endswith("?") else "."
        return f"{problem}{end} For an event of your own classes: rocketjob jobs event {name}"

    def _of_plugins(self, ctx: click.Context) -> dict[str, EventCommand]:
        states = installed_plugins(session_of(ctx)).states.values()
        return {command.name: command for state in states for command in state.commands}


def add_commands(group: Group) -> None:
    """Add a command for every event to the group `jobs`, and one for those that classes add."""
    for command in COMMANDS:
        group.add_command(_command(group, command))
    group.add_command(_any_event(group))


def _command(group: Group, command: EventCommand) -> click.Command:
    def call(ctx: click.Context, **arguments: Any) -> None:
        run(command, ctx, **arguments)

    return _made(group, command, call, _examples(command))


def _any_event(group: Group) -> click.Command:
    """Return the command for an event of an app's own, which is known once the app is loaded."""

    def call(ctx: click.Context, event: str, **arguments: Any) -> None:
        run(EventCommand(event, "", "changed"), ctx, **arguments)

    examples = [
        ("One job", "jobs event release 55aeaf03a26ec0c1bd00008d --app myapp.jobs"),
        ("All of one class", "jobs event release --all-matching --class ReportJob"),
    ]
    wording = EventCommand("event", "Make an event of the jobs' own class.", "", takes_reason=True)
    return _made(group, wording, click.argument("event")(call), examples)


def _made(
    group: Group, command: EventCommand, call: Any, examples: list[tuple[str, str]]
) -> click.Command:
    decorators: list[Callable[[Any], Any]] = [
        click.argument("ids", nargs=-1, type=JobId(), metavar="[ID]..."),
        click.option("--all-matching", is_flag=True, help="all jobs that match the options below"),
        bulk_options,
        selection_options,
        click.option("-y", "--yes", is_flag=True, help="do not ask for confirmation"),
        json_option,
        click.pass_context,
    ]
    if command.takes_reason:
        reason = click.option("--reason", metavar="TEXT", help=_reason_help(command))
        decorators.insert(1, reason)
    function: Any = call
    for decorate in reversed(decorators):
        function = decorate(function)
    parameters = list(reversed(getattr(function, "__click_params__", [])))
    return group.command_class(
        command.name,
        callback=function,
        params=sorted(parameters, key=lambda each: each.name != "event"),
        help=(
            f"{command.summary}\n\n"
            "Give the ids of jobs, or take all that match the options. What happened to each is "
            "printed; one that cannot be changed does not stop the others, and makes the exit "
            "code 1."
        ),
        short_help=command.summary,
        examples=examples,
    )


def _reason_help(command: EventCommand) -> str:
    where = "as the job's exception" if command.event == "fail" else "in the job's history"
    return f"why; kept {where}"


def _examples(command: EventCommand) -> list[tuple[str, str]]:
    id, name = "55aeaf03a26ec0c1bd00008d", command.name
    reason = ' --reason "wrong file"' if command.takes_reason else ""
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
        ("Very many, by a job", f"jobs {name} --bulk --class ReportJob{state}{reason}"),
    ]


def run(
    command: EventCommand,
    ctx: click.Context,
    ids: tuple[ObjectId, ...],
    all_matching: bool,
    bulk: bool,
    also_later: bool,
    selection: Selection,
    yes: bool,
    as_json: bool,
    reason: str | None = None,
) -> None:
    """Fire an event on the jobs that are named or selected, and print what happened to each."""
    _check_usage(ctx, ids, all_matching or bulk, selection)
    if also_later and not bulk:
        raise click.UsageError("--also-later is for --bulk", ctx)
    import_app()
    _check_event(command)
    if bulk or all_matching:
        asked: dict[str, Any] = {"yes": yes, "as_json": as_json, "reason": reason}
        asked |= {"also_later": also_later, "show": lambda each: _show(each, command, as_json)}
        asked |= {"here": not bulk, "done": None if bulk else command.done}
        run_bulk(ctx, command.event, selection, **asked)
        return
    kinds = _named(ids)
    if len(kinds) > 1 and not yes:
        _confirm(ctx, command.name, kinds)
    arguments = {"reason": reason} if reason is not None else {}
    failed = 0
    for id in kinds:
        outcome = _fire(id, command, arguments)
        failed += outcome.error is not None
        _print(outcome, command, as_json)
    if len(kinds) != 1:
        click.echo(summary(len(kinds) - failed, len(kinds), command.done), err=True)
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


def _check_event(command: EventCommand) -> None:
    """Refuse an event that there is not, or that workers make."""
    try:
        bulk_actions.check_event(command.event)
    except ValueError as error:
        raise BadInput(str(error)) from error


def _named(ids: tuple[ObjectId, ...]) -> Kinds:
    """Return each named job once, including missing ones, which are reported."""
    rows = Job.where({"_id": {"$in": list(ids)}}).pluck("id", "_type", "state")
    kinds = {id: _kind(name, state) for id, name, state in rows}
    return {id: kinds.get(id, "missing") for id in ids}


def _kind(name: Any, state: str) -> str:
    """Say what a job is, by the present name of its class."""
    return f"{state} {stored_names(str(name))[0]}"


def _confirm(ctx: click.Context, name: str, kinds: Kinds) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would {name} {len(kinds)} jobs: add --yes to do it", ctx)
    click.echo(f"This would {name} {len(kinds)} jobs: {breakdown(kinds.values())}", err=True)
    if not click.confirm("Go on?", err=True):
        click.echo("nothing was changed", err=True)
        ctx.exit(FAILURE)


def _fire(id: ObjectId, command: EventCommand, arguments: dict[str, Any]) -> Outcome:
    stored = Job.collection().find_one({"_id": id})
    if stored is None:
        return Outcome(id, None, None, None, "there is no job with this id")
    job = Job.listed(stored)
    source, event = job.state, command.event
    missing = isinstance(job, UnknownJob) and job.error is None
    hint = "; --app MODULE loads its class" if missing else ""
    if event != "destroy" and event not in job.__events__:
        error = f"{class_name(job)} has no event {event}{hint}"
        return Outcome(id, class_name(job), source, source, error)
    try:
        getattr(job, event)(**arguments)
    except RocketJobError as refused:
        text = str(_by_commands(command, refused)) + hint
        return Outcome(id, class_name(job), source, source, text)
    except Exception as error:  # a callback of the class; the others go on
        return Outcome(id, class_name(job), source, None, f"{type(error).__name__}: {error}")
    return Outcome(id, class_name(job), source, None if event == "destroy" else job.state)


def _by_commands(command: EventCommand, error: RocketJobError) -> RocketJobError:
    """Return a refusal that names the possible commands, not the events."""
    if not isinstance(error, InvalidTransition) or error.event != command.event:
        return error
    allowed = (*error.allowed, "destroy")
    possible = [each.name for each in event_commands() if each.event in allowed]
    return InvalidTransition(command.name, error.state, possible, error.guard)


def _show(outcome: bulk_actions.Outcome, command: EventCommand, as_json: bool) -> None:
    """Print what became of one job of a bulk action."""
    error = None if outcome.word == bulk_actions.DONE else f"{outcome.word}: {outcome.text}"
    of_one = Outcome(outcome.id, outcome.name, outcome.source, outcome.target, error)
    _print(of_one, command, as_json)


def _print(outcome: Outcome, command: EventCommand, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "id": str(outcome.id),
                "class": outcome.name,
                "event": command.event,
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
