"""`rocketjob dirmon add|list|enable|disable|remove|preview|scan`."""

from __future__ import annotations

from typing import Any

import attrs
import click
from bson import ObjectId

from rocketjob import application
from rocketjob.base.errors import RocketJobError
from rocketjob.cli import Failure, Group, import_app, json_option
from rocketjob.cli.classes import resolve
from rocketjob.cli.output import Cell, Column, clean, print_heading, print_json, print_table
from rocketjob.cli.session import warn
from rocketjob.cli.types import JOB_SPEC, Property, as_dict
from rocketjob.model.encrypted_fields import HIDDEN
from rocketjob_plugins.dirmon import preview
from rocketjob_plugins.dirmon.entry import STATES, DirmonEntry
from rocketjob_plugins.dirmon.folder import Problem
from rocketjob_plugins.dirmon.job import DirmonJob

STYLES = {"enabled": "green", "failed": "red", "pending": "yellow"}

dirmon = Group(
    "dirmon",
    short_help="Create a job for each file in a folder.",
    help="Manage directory monitor entries: which files to look for, and which job each goes to.",
)


@dirmon.command(
    "add",
    short_help="Add an entry.",
    examples=[
        (
            "Each CSV file in a folder, with fields of the job",
            "dirmon add '/var/sftp/acme/*.csv' myapp.jobs:ImportJob account_id=42 priority=25",
        ),
        (
            "Enabled at once",
            "dirmon add '/var/in/**/*.{csv,psv}' myapp.jobs:ImportJob --name in --enable",
        ),
    ],
)
@click.argument("pattern")
@click.argument("spec", type=JOB_SPEC, metavar="CLASS")
@click.argument("properties", nargs=-1, type=Property(), metavar="[NAME=VALUE]...")
@click.option("--name", metavar="NAME", help="name for use in other commands; unique")
@click.option(
    "--archive",
    metavar="DIRECTORY",
    default="archive",
    show_default=True,
    help="where files are moved first; if relative, below the file's own directory",
)
@click.option(
    "--encoding",
    metavar="NAME",
    help="encoding of the files, such as cp1252; that of the class if not given",
)
@click.option("--enable", is_flag=True, help="start looking for files at once")
@json_option
def add(
    pattern: str,
    spec: str,
    properties: tuple[tuple[str, str], ...],
    name: str | None,
    archive: str,
    encoding: str | None,
    enable: bool,
    as_json: bool,
) -> None:
    """Create a job of CLASS for each file that matches PATTERN."""
    entry = DirmonEntry.create(
        name=name,
        pattern=pattern,
        job_class_name=resolve(spec).type_name(),
        properties=as_dict(properties),
        archive_directory=archive,
        encoding=encoding,
    )
    if enable:
        entry.enable()
    _say(entry, as_json)


@dirmon.command(
    "list",
    changes=False,
    short_help="List the entries.",
    makes_store=False,
    examples=[("Those that have failed, and why", "dirmon list --state failed")],
)
@click.option("-s", "--state", type=click.Choice(STATES), multiple=True)
@json_option
def list_entries(state: tuple[str, ...], as_json: bool) -> None:
    """List the entries, with the reason why any have failed."""
    entries = list(DirmonEntry.where({"state": {"$in": list(state or STATES)}}).order_by("id"))
    if as_json:
        import_app(lenient=True)
        for entry in entries:
            print_json(_row(entry))
        return
    if not entries:
        click.echo("no entries", err=True)
        return
    rows = [
        (
            entry.name or str(entry.id),
            Cell(entry.state, STYLES.get(entry.state, "")),
            entry.job_class_name,
            entry.pattern,
            _why(entry) or "",
        )
        for entry in entries
    ]
    print_table([Column(title) for title in ("NAME", "STATE", "CLASS", "PATTERN", "FAILURE")], rows)


def _add_event(name: str, short_help: str, example: str, help: str) -> None:
    @dirmon.command(
        name,
        short_help=short_help,
        help=help,
        makes_store=False,
        examples=[(example, f"dirmon {name} acme")],
    )
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @json_option
    def fire(names: tuple[str, ...], as_json: bool) -> None:
        import_app(lenient=True)  # an entry whose class is missing says so when it is enabled
        for entry in [_find(argument) for argument in names]:
            _say(getattr(entry, name)(), as_json)


_add_event(
    "enable",
    "Start looking for files.",
    "After the cause of a failure is removed",
    "Start looking for files of entries, given by name, pattern or id.",
)
_add_event(
    "disable",
    "Stop looking for files.",
    "For a while",
    "Stop looking for files of entries, given by name, pattern or id.",
)


@dirmon.command(
    "remove",
    short_help="Remove entries.",
    makes_store=False,
    examples=[("For good", "dirmon remove acme")],
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove_entries(names: tuple[str, ...]) -> None:
    """Remove entries, given by name, pattern or id; files and jobs stay."""
    for entry in [_find(name) for name in names]:
        entry.destroy()
        click.echo(f"removed {entry.name or entry.id}")


@dirmon.command(
    "preview",
    changes=False,
    short_help="Show which files match, as servers see them.",
    makes_store=False,
    examples=[("Before it is enabled", "dirmon preview acme")],
)
@click.argument("name", metavar="ENTRY")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=preview.SECONDS,
    show_default=True,
    help="how long to wait for answers",
)
@json_option
def show_preview(name: str, timeout: float, as_json: bool) -> None:
    """Ask the servers which files match an entry now, and what the next scans do with each.

    ENTRY is its name, pattern or id; it may be in any state. Nothing is taken. The exit code is 1
    if nobody answers, or a server does not.
    """
    entry = _find(name)
    previews, missing = preview.ask_for(entry, timeout)
    for each in previews:
        if as_json:
            print_json({"entry": entry.name or entry.id, **attrs.asdict(each)})
        else:
            _print_preview(each)
    if previews and not entry.is_enabled and not as_json:
        click.echo(f"the entry is {entry.state}: nothing is taken until it is enabled", err=True)
    for sentence in missing:
        warn(sentence)
    if not previews and not missing:
        raise Failure("no server is running, whose files could be looked at")
    if missing:
        raise click.exceptions.Exit(1)


def _print_preview(each: preview.Preview) -> None:
    print_heading(clean(f"{', '.join(each.servers)}: {each.summary}"))
    for problem in each.problems:
        warn(f"a scan would fail the entry, or look at nothing: {problem}")
    rows = [[row["action"], clean(row["path"]), clean(row["why"])] for row in each.files]
    if rows:
        print_table([Column("ACTION", fixed=True), Column("FILE"), Column("WHY", wraps=True)], rows)


@dirmon.command(
    "scan",
    short_help="Scan now.",
    examples=[
        ("Scan now, not at the next five minutes", "dirmon scan"),
        ("Only show what would be done", "dirmon scan --dry-run"),
    ],
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--dry-run", is_flag=True, help="only list the files; of the entries named, or of all"
)
@json_option
def scan(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Have a server scan now; create the directory monitor job if there is none."""
    if dry_run:
        application.current().look_only()
    import_app()
    if dry_run:
        return _show_files(names, as_json)
    if names:
        raise click.UsageError(
            "entries can only be named with --dry-run: a scan covers all of them"
        )
    job = DirmonJob.where({"state": {"$in": ["queued", "running"]}}).first()
    job = job or DirmonJob.create()
    if job.is_queued:
        job.run_now()
    if as_json:
        print_json({"id": job.id, "state": job.state})
    else:
        activity = "is scanning" if job.is_running else "scans as soon as a server is free"
        click.echo(f"directory monitor {job.id} {activity}")


def _show_files(names: tuple[str, ...], as_json: bool) -> None:
    """List the files that entries match, and what the next scan would do with each."""
    # The next instance knows which files are settled.
    monitor = DirmonJob.queued().first() or DirmonJob()
    entries = [_find(name) for name in names] or list(DirmonEntry.enabled())
    failed = 0
    for entry in entries:
        problems, faults = list[Problem](), list[str]()
        try:
            for file in entry.files(problems):
                ready = file.immediate or monitor.is_settled(file)
                _show_file(entry, file.path, "start" if ready else "wait", as_json)
        except RocketJobError as error:
            faults.append(str(error))
        for problem in (*problems, *faults):
            click.echo(clean(f"error: {entry.name or entry.pattern}: {problem}"), err=True)
        failed += bool(problems or faults)
    if failed:
        raise Failure("a scan would fail entries")


def _show_file(entry: DirmonEntry, path: str, action: str, as_json: bool) -> None:
    if as_json:
        print_json({"entry": entry.name or entry.id, "file": path, "action": action})
    else:
        click.echo(clean(f"{action:5}  {path}  {entry.job_class_name}"))


def _find(name: str) -> DirmonEntry:
    filters: list[dict[str, Any]] = [{"name": name}, {"pattern": name}]
    if ObjectId.is_valid(name):
        filters.append({"id": name})
    for filter in filters:
        entry = DirmonEntry.where(filter).first()
        if entry is not None:
            return entry
    names = ", ".join(str(entry.name or entry.id) for entry in DirmonEntry.all()) or "none"
    raise Failure(f"there is no entry {name}; there are: {names}")


def _say(entry: DirmonEntry, as_json: bool) -> None:
    if as_json:
        print_json(_row(entry))
        return
    click.echo(f"{entry.name or entry.id} is {entry.state}")
    if entry.is_enabled and not DirmonJob.where({"state": {"$in": ["queued", "running"]}}).exists():
        click.echo("nothing scans yet: `rocketjob dirmon scan` creates a job that does", err=True)


def _row(entry: DirmonEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "state": entry.state,
        "pattern": entry.pattern,
        "job_class_name": entry.job_class_name,
        "properties": _shown(entry),
        "archive_directory": entry.archive_directory,
        "encoding": entry.encoding,
        "failure": _why(entry),
        "created_at": entry.created_at,
    }


def _shown(entry: DirmonEntry) -> dict[str, Any]:
    """Return the properties, hiding what the job's class encrypts, if it is loaded here.

    Entries of earlier versions store them unencrypted.
    """
    fields = entry.job_class.fields() if entry.job_class else {}
    return {
        name: HIDDEN if name in fields and fields[name].encrypted else value
        for name, value in entry.properties.items()
    }


def _why(entry: DirmonEntry) -> str | None:
    if not entry.is_failed or entry.exception is None:
        return None
    return f"{entry.exception.class_name}: {entry.exception.message}"
