"""`rocketjob jobs`: list, show, count, change and control stored jobs.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
from bson import ObjectId

from rocketjob import Job, UnknownJob, application
from rocketjob.base.errors import RocketJobError, ValidationError
from rocketjob.base.text import at, hinted, relative
from rocketjob.cli.command import json_option, limit_option
from rocketjob.cli.errors import FAILURE, BadInput
from rocketjob.cli.job_bulk import bulk_options, run_bulk
from rocketjob.cli.job_events import JobsGroup, add_commands
from rocketjob.cli.job_explain import explain
from rocketjob.cli.job_json import details, find_jobs, summary
from rocketjob.cli.job_page import print_job, run_time
from rocketjob.cli.migrate import add_migrate
from rocketjob.cli.output import (
    Cell,
    Column,
    clean,
    print_json,
    print_table,
    style_of,
)
from rocketjob.cli.selection import (
    Selection,
    checked,
    checked_first,
    searched,
    selection_options,
)
from rocketjob.cli.session import import_app
from rocketjob.cli.types import JobId, Property, as_dict
from rocketjob.jobs.bulk import DONE, SET_PRIORITY, Outcome
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.completions import what_is_known
from rocketjob.jobs.query import STATES, JobQuery
from rocketjob.jobs.shown import (
    class_name,
    load,
    problem_of,
    progress_of,
    reasons_of,
    remarks_of,
)
from rocketjob.model.encrypted_fields import HIDDEN
from rocketjob.model.registry import stored_names

DEFAULT_LIMIT = 50

jobs = JobsGroup(
    "jobs",
    short_help="List, show and change jobs.",
    makes_store=False,
    help="List, show, count and change stored jobs.",
    examples=[
        ("What has failed, newest first", "jobs list --state failed"),
        ("Why, and what can be done", "jobs show 55aeaf03a26ec0c1bd00008d"),
        ("Retry all jobs of one class", "jobs retry --all-matching --class ReportJob"),
    ],
)


# --- list ------------------------------------------------------------------------------------


@jobs.command(
    "list",
    changes=False,
    short_help="List jobs, the newest first.",
    examples=[
        ("Failed and aborted jobs of a class", "jobs list -s failed -s aborted --class ReportJob"),
        ("What runs next", "jobs list --state queued --sort priority --limit 10"),
        (
            "By a search, as in the web interface",
            """jobs list 'class:ImportJob error:"not known" created:<2h field.customer:42'""",
        ),
        (
            "By a filter of the store",
            """jobs list --where '{"created_at": {"$gte": "2026-01-31T08:00:00Z"}}'""",
        ),
        ("How many", "jobs list --state failed --count"),
        ("For programs", "jobs list --json | jq -r .id"),
    ],
)
@click.argument("search", nargs=-1, metavar="[SEARCH]")
@selection_options
@limit_option(DEFAULT_LIMIT)
@click.option(
    "--sort",
    metavar="FIELD",
    default="-id",
    show_default=True,
    help="by this field; -FIELD for descending order",
)
@click.option("--count", is_flag=True, help="print only how many there are")
@click.option("-q", "--quiet", is_flag=True, help="print only the ids")
@json_option
def list_jobs(
    search: tuple[str, ...],
    selection: Selection,
    limit: int,
    sort: str,
    count: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """List jobs, the newest first.

    SEARCH is what Mission Control's search box takes: class: state: id: desc: error: server:
    worker: priority: created: started: ended: due: field.NAME:, words, OR, NOT and ( ). Put it in
    single quotes. `created:>2h` is more than two hours ago.
    """
    import_app(lenient=True)
    query = checked(lambda: selection.query().order_by(sort))
    if text := " ".join(search):
        query = searched(query, text)
    if count:
        total = checked(query.count)
        print_json({"count": total}) if as_json else click.echo(total)
        return
    query = query.limit(limit)
    if quiet:
        for id in checked(lambda: query.pluck("id")):
            click.echo(str(id))
    elif as_json:
        for job in checked_first(find_jobs(query)):
            print_json(summary(job))
    else:
        _print_list(query)


def _print_list(query: JobQuery[Job]) -> None:
    jobs = list(checked_first(find_jobs(query)))
    rows = [_row(job) for job in jobs]
    if not rows:
        _print_none(query)
        return
    print_table(
        [
            Column("ID", fixed=True),
            Column("CLASS"),
            Column("STATE", fixed=True),
            Column("PRI", fixed=True, right=True, spare=3),
            Column("CREATED", fixed=True, spare=1),
            Column("TOOK", fixed=True, spare=2),
            Column("DETAIL", least=20),
        ],
        rows,
    )
    if sys.stderr.isatty():
        click.echo(f"in {application.current().store.url}", err=True)
    total = query.limit(0).count() if len(rows) == query.maximum else len(rows)
    if total > len(rows):
        click.echo(f"{len(rows)} of {total} jobs; --limit 0 shows all", err=True)
    missing = sorted({class_name(job) for job in jobs if isinstance(job, UnknownJob)})
    if missing and sys.stderr.isatty():
        click.echo(f"not loaded here: {', '.join(missing)}; --app MODULE loads them", err=True)


def _print_none(query: JobQuery[Job]) -> None:
    store = application.current().store
    which = "No such jobs" if query.filters else "No jobs"
    click.echo(f"{which} in {store.url}", err=True)


def _row(job: Job) -> list[Cell | str]:
    state = "scheduled" if job.is_scheduled else job.state
    return [
        str(job.id),
        class_name(job),
        Cell(state, style_of(state)),
        str(job.priority),
        relative(job.created_at),
        run_time(job),
        detail(job),
    ]


def detail(job: Job) -> str:
    """Return what matters most about a job in its state."""
    if problem := problem_of(job):
        return problem
    if job.exception is not None and not job.is_completed:
        name, message = job.exception.class_name, job.exception.message or ""
        return message if name == "JobException" else f"{name}: {message}"
    if job.is_running:
        return _progress(job)
    if job.is_scheduled:
        return f"starts {relative(job.run_at)}"
    if job.throttled_by is not None:
        return f"held back: {job.throttled_text or job.throttled_by}"
    return ", ".join([remark.brief for remark in remarks_of(job)]) or job.description or ""


def _progress(job: Job) -> str:
    names, reasons = job.worker_names, reasons_of(job)
    workers = f"{len(names)} workers" if len(names) > 1 else "".join(names) or "no worker"
    at = reasons[0].text if reasons else f"{progress_of(job)} on {workers}"
    return ", ".join([at, *(remark.brief for remark in remarks_of(job))])


# --- show ------------------------------------------------------------------------------------


@jobs.command(
    "show",
    changes=False,
    short_help="Show everything about jobs.",
    examples=[
        ("Fields, exception, history, and what can be done", "jobs show 55aeaf03a26ec0c1bd00008d"),
        ("For programs", "jobs show 55aeaf03a26ec0c1bd00008d --json | jq .exception.backtrace"),
    ],
)
@click.argument("ids", nargs=-1, required=True, type=JobId(), metavar="ID...")
@click.option("--reveal", is_flag=True, help="show encrypted fields in plain text")
@json_option
@click.pass_context
def show(ctx: click.Context, ids: tuple[ObjectId, ...], reveal: bool, as_json: bool) -> None:
    """Show fields, exception and history of jobs, and what can be done with them."""
    import_app(lenient=True)
    missing = False
    for number, id in enumerate(ids):
        stored = Job.collection().find_one({"_id": id})
        if stored is None:
            summary = what_is_known(id)
            click.echo(f"error: there is no job with the id {id}: {summary}", err=True)
            missing = True
            continue
        job = load(stored)
        if as_json:
            print_json(details(job, reveal))
        else:
            if number:
                click.echo()
            print_job(job, reveal)
    if missing:
        ctx.exit(FAILURE)


# --- counts ----------------------------------------------------------------------------------


@jobs.command(
    "counts",
    changes=False,
    short_help="Count jobs by class and state.",
    examples=[("All jobs", "jobs counts"), ("For programs", "jobs counts --json | jq .failed")],
)
@json_option
def counts(as_json: bool) -> None:
    """Count jobs by class and state."""
    rows = _count()
    if as_json:
        for name, counts in rows.items():
            print_json({"class": name, **counts})
    elif not rows:
        _print_none(Job.all())
    else:
        _print_counts(rows)


def _count() -> dict[str, dict[str, int]]:
    store = application.current().store
    rows: dict[str, dict[str, int]] = {}
    states = _counted_states()
    for state in states:
        for name, number in store.count_by(COLLECTION, "_type", {"state": state}).items():
            shown = stored_names(str(name))[0]  # the class may have been renamed
            rows.setdefault(shown, dict.fromkeys((*states, "total"), 0))[state] += number
    for counts in rows.values():
        counts["total"] = sum(counts.values())
    return dict(sorted(rows.items()))


def _counted_states() -> list[str]:
    """Return the kernel's states, those of plugins, and those in which a job is all the same."""
    app = application.current()
    stored = sorted(str(state) for state in app.store.count_by(COLLECTION, "state"))
    return list(dict.fromkeys((*STATES, *app.plugins.states, *stored)))


def _print_counts(rows: dict[str, dict[str, int]]) -> None:
    names = list(next(iter(rows.values())))
    columns = [Column("CLASS")]
    columns += [_count_column(name, [counts[name] for counts in rows.values()]) for name in names]
    table: list[Sequence[Cell | str]] = [
        [name, *(_number(counts[n], n) for n in names)] for name, counts in rows.items()
    ]
    if len(rows) > 1:
        sums = {n: sum(counts[n] for counts in rows.values()) for n in names}
        table.append([Cell("all", "bold"), *(_number(sums[n], n) for n in names)])
    print_table(columns, table)


def _count_column(name: str, counts: Sequence[int]) -> Column:
    least = max(len("COMP…"), len(str(sum(counts))))
    return Column(name.upper(), right=True, least=least, spare=0 if any(counts) else 1)


def _number(number: int, name: str) -> Cell:
    return Cell(str(number) if number else "-", style_of(name) if number else "dim")


# --- set -------------------------------------------------------------------------------------


@jobs.command(
    "set",
    short_help="Change fields of jobs.",
    examples=[
        ("Run a job first", "jobs set 55aeaf03a26ec0c1bd00008d priority=1"),
        ("Start it tomorrow", "jobs set 55aeaf03a26ec0c1bd00008d run_at=1d"),
        ("All jobs of a class first", "jobs set priority=10 --bulk --class ReportJob"),
    ],
)
@click.argument("words", nargs=-1, required=True, metavar="[ID]... NAME=VALUE...")
@bulk_options
@selection_options
@click.option("-y", "--yes", is_flag=True, help="do not ask for confirmation, with --bulk")
@json_option
@click.pass_context
def set_fields(
    ctx: click.Context,
    words: tuple[str, ...],
    bulk: bool,
    also_later: bool,
    selection: Selection,
    yes: bool,
    as_json: bool,
) -> None:
    """Change editable fields (user_editable), such as priority and run_at.

    With --bulk it is the priority of all jobs that match.
    """
    import_app()
    ids = [JobId().convert(word, None, ctx) for word in words if "=" not in word]
    fields = as_dict(tuple(Property().convert(word, None, ctx) for word in words if "=" in word))
    if bulk:
        priority = _only_priority(ctx, ids, fields)
        asked: dict[str, Any] = {"yes": yes, "as_json": as_json, "priority": priority}
        asked |= {"also_later": also_later, "show": lambda each: _print_set(each, as_json)}
        run_bulk(ctx, SET_PRIORITY, selection, **asked)
        return
    if also_later or selection != Selection():
        raise click.UsageError("options that select jobs are for --bulk", ctx)
    if not ids or not fields:
        raise click.UsageError("give at least one ID and one NAME=VALUE", ctx)
    edits = [_edit(Job.find(id), fields) for id in ids]  # all are judged before any is saved
    failed = False
    for job, values in edits:
        try:
            job.update(**values)
        except RocketJobError as error:
            click.echo(f"error: {job.id}: {error}", err=True)
            failed = True
        else:
            _print_edited(job, fields, as_json)
    if failed:
        ctx.exit(FAILURE)


def _only_priority(ctx: click.Context, ids: list[ObjectId], fields: dict[str, str]) -> int:
    """Return the priority that is to be set: of many jobs nothing else is."""
    if ids:
        raise click.UsageError("give ids or --bulk, not both", ctx)
    if list(fields) != ["priority"]:
        raise click.UsageError("with --bulk only the priority is set: priority=20", ctx)
    try:
        return int(fields["priority"])
    except ValueError:
        raise BadInput(f"priority must be from 1 to 100, not {fields['priority']}") from None


def _print_set(outcome: Outcome, as_json: bool) -> None:
    error = None if outcome.word == DONE else f"{outcome.word}: {outcome.text}"
    if as_json:
        values = {"id": str(outcome.id), "class": outcome.name, "ok": error is None}
        print_json({**values, "state": outcome.target or outcome.source, "error": error})
    elif error is not None:
        click.echo(f"error: {outcome.id}: {error}", err=True)
    else:
        click.echo(clean(f"{outcome.id}  {outcome.name}"))


def _edit(job: Job, fields: dict[str, str]) -> tuple[Job, dict[str, Any]]:
    """Return a job, changed but not saved, and what was changed."""
    values = _parse_edits(job, fields)
    for name, value in values.items():
        setattr(job, name, value)
    try:
        job.validate()
    except ValidationError as error:
        raise BadInput(str(error)) from error
    return job, values


def _parse_edits(job: Job, fields: dict[str, str]) -> dict[str, Any]:
    editable = {name: field for name, field in job.fields().items() if field.user_editable}
    edits = {}
    for name, text in fields.items():
        if name not in editable:
            raise BadInput(_not_editable(job, name, list(editable)))
        try:
            edits[name] = editable[name].codec.from_text(text)
        except ValueError as error:
            (problem,) = editable[name].unless_secret([str(error)])
            raise BadInput(at(name, problem, ": ")) from None
    return edits


def _not_editable(job: Job, name: str, editable: list[str]) -> str:
    listed = f"editable are {', '.join(editable)}"
    if name in job.fields():
        return f"{class_name(job)}.{name} cannot be edited; {listed}"
    return hinted(f"{class_name(job)} has no field {name}", name, editable, listed)


def _print_edited(job: Job, fields: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(summary(job))
        return
    shown = " ".join(f"{name}={_shown(job, name)}" for name in fields)
    click.echo(clean(f"{job.id}  {class_name(job)}  {shown}"))


def _shown(job: Job, name: str) -> Any:
    return HIDDEN if job.fields()[name].encrypted else getattr(job, name)


jobs.add_command(explain)
add_migrate(jobs)
add_commands(jobs)
