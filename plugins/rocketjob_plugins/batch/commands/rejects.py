"""`rocketjob rejects list|download|resubmit`: bad records are seen, corrected and run again."""

from __future__ import annotations

from typing import Any, Literal

import click
from bson import ObjectId

from rocketjob import Job
from rocketjob.base.text import counted
from rocketjob.cli import Failure, Group, import_app, json_option
from rocketjob.cli.command import limit_option
from rocketjob.cli.output import Cell, Column, print_json, print_table, style_of
from rocketjob.cli.selection import Selection, checked_first, selection_options
from rocketjob.cli.types import JobId
from rocketjob.jobs.completions import what_is_known
from rocketjob.jobs.shown import class_name
from rocketjob_plugins.batch.batch import Batch
from rocketjob_plugins.batch.commands.shared import (
    batch_job,
    check_json,
    named,
    opened,
    reader_may_leave,
    reading_options,
    say_written,
    target_of,
)
from rocketjob_plugins.batch.outcome.rejected import Rejected, of_jobs
from rocketjob_plugins.batch.outcome.rejects import FORMATS
from rocketjob_plugins.batch.streams import ReadKeywords
from rocketjob_plugins.batch.streams.names import shown

FORMAT = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="of the file; by its name if not given, such as bad.jsonl",
)
rejects = Group(
    "rejects",
    section="Manage jobs",
    makes_store=False,
    short_help="List, download and resubmit rejected records.",
    help="""Correct the records that batch jobs have set aside as bad, and process them again.

    Write them to a file, correct it, and resubmit it: leave the column _row as it is. Their output
    takes its place in the order of the input.""",
    examples=[
        ("Which jobs have rejects, and why", "rejects list"),
        ("Those of one job, with the reasons", "rejects download 55aeaf03a26ec0c1bd00008d bad.csv"),
        (
            "Once they are corrected",
            'rejects resubmit 55aeaf03a26ec0c1bd00008d bad.csv --reason "dates mended"',
        ),
    ],
)


# --- list ------------------------------------------------------------------------------------


@rejects.command(
    "list",
    changes=False,
    short_help="List the jobs with rejects, and why.",
    examples=[
        ("The newest first", "rejects list"),
        ("More of one job's reasons", "rejects list 55aeaf03a26ec0c1bd00008d --reasons 100"),
        ("Of one class", "rejects list --class ImportJob"),
        ("For programs", "rejects list --json | jq '[.id, .rejects]'"),
    ],
)
@click.argument("ids", nargs=-1, type=JobId(), metavar="[ID]...")
@selection_options
@click.option(
    "--reasons",
    type=click.IntRange(0),
    metavar="N",
    default=3,
    show_default=True,
    help="for how many rejects of a job the reason is shown, the first in the file",
)
@limit_option(of="jobs")
@json_option
def list_rejects(
    ids: tuple[ObjectId, ...], selection: Selection, reasons: int, limit: int, as_json: bool
) -> None:
    """List the jobs that have rejected records, the newest first: how many, and the first reasons.

    With ids only those jobs; one that has none makes the exit code 1.
    """
    import_app(lenient=True)
    query = selection.query()
    found = 0
    rows: list[list[Cell | str]] = []
    wanted = set(ids)
    for rejected in checked_first(of_jobs(query, wanted or None)):
        wanted.discard(rejected.job.id)
        found += 1
        if limit and found > limit:
            break
        if as_json:
            print_json(_as_json(rejected, reasons))
        else:
            rows += _rows(rejected, reasons)
    if rows:
        print_table(COLUMNS, rows)
    if limit and found > limit:
        click.echo(f"the newest {limit} jobs; --limit 0 shows all", err=True)
    elif wanted:
        raise Failure("; ".join(_why_none(id) for id in sorted(wanted)))
    elif not found:
        click.echo("no job has rejects", err=True)


COLUMNS = (
    Column("ID", fixed=True),
    Column("CLASS"),
    Column("STATE", fixed=True),
    Column("REJECTS", fixed=True, right=True),
    Column("ROW", fixed=True, right=True),
    Column("REASON", least=30),
)


def _as_json(rejected: Rejected, reasons: int) -> dict[str, Any]:
    job = rejected.job
    return {
        "id": str(job.id),
        "class": class_name(job),
        "state": job.state,
        "rejects": rejected.count,
        "reasons": [{"row": row, "reason": text} for row, text in rejected.reasons(reasons)],
    }


def _rows(rejected: Rejected, reasons: int) -> list[list[Cell | str]]:
    job = rejected.job
    named = [
        str(job.id),
        class_name(job),
        Cell(job.state, style_of(job.state)),
        f"{rejected.count:,}",
    ]
    rows: list[list[Cell | str]] = []
    for row, text in _reasons(rejected, reasons):
        rows.append([*(named if not rows else [""] * len(named)), row, text])
    return rows


def _reasons(rejected: Rejected, limit: int) -> list[tuple[str, str]]:
    return [(f"{row:,}", text) for row, text in rejected.reasons(limit)] or [("", "")]


def _why_none(id: ObjectId) -> str:
    if Job.where({"_id": id}).exists():
        return f"the job {id} has no rejects, or is not among those that were asked for"
    return f"there is no job with the id {id}: {what_is_known(id)}"


# --- download --------------------------------------------------------------------------------


@rejects.command(
    "download",
    changes=False,
    short_help="Write the rejects of a job to a file.",
    examples=[
        ("To be corrected and resubmitted", "rejects download 55aeaf03a26ec0c1bd00008d bad.csv"),
        ("As JSON lines, for programs", "rejects download 55aeaf03a26ec0c1bd00008d bad.jsonl"),
        ("Without the reasons", "rejects download 55aeaf03a26ec0c1bd00008d bad.csv --plain"),
        ("To look at", "rejects download 55aeaf03a26ec0c1bd00008d - | less"),
    ],
)
@click.argument("id", type=JobId(), metavar="ID")
@click.argument("file")
@click.option("--plain", is_flag=True, help="without the column for the reason")
@FORMAT
@click.option("--force", is_flag=True, help="replace the file if there is one")
@json_option
def download(
    id: ObjectId,
    file: str,
    plain: bool,
    format_: Literal["csv", "jsonl"] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the rejected records of the job ID to FILE, as CSV. - is standard output.

    It has the columns of the input, or the column record, then _row, the number of the record, and
    _error, the reason. Correct the records, leave _row as it is, and resubmit the file. If FILE is
    called .jsonl each line is a JSON object with _row, _error, kind and record.
    """
    check_json(as_json, file)
    job = _with_rejects(id)
    with reader_may_leave():
        count = job.download_rejects(target_of(file, force), reasons=not plain, format=format_)
    values = {"id": str(id), "class": job.type_name(), "file": shown(file), "rejects": count}
    say_written(values, f"{counted(count, 'reject')} written to {named(file)}", file, as_json)


def _with_rejects(id: ObjectId) -> Batch:
    job = batch_job(id)
    if not job.reject_count:
        raise Failure(f"{job.type_name()} {id} has no rejects")
    return job


# --- resubmit --------------------------------------------------------------------------------


@rejects.command(
    "resubmit",
    short_help="Process corrected rejects again.",
    examples=[
        (
            "Once they are corrected",
            'rejects resubmit 55aeaf03a26ec0c1bd00008d bad.csv --reason "dates mended"',
        ),
        (
            "As a spreadsheet program has saved it",
            "rejects resubmit 55aeaf03a26ec0c1bd00008d bad.csv --separator ';' --encoding cp1252",
        ),
    ],
)
@click.argument("id", type=JobId(), metavar="ID")
@click.argument("file")
@click.option(
    "--separator",
    metavar="CHARACTER",
    default=",",
    show_default=True,
    help="between two values, such as ; or \\t, if a program has saved the file with another",
)
@FORMAT
@reading_options
@json_option
def resubmit(
    id: ObjectId,
    file: str,
    separator: str,
    format_: Literal["csv", "jsonl"] | None,
    reading: ReadKeywords,
    as_json: bool,
) -> None:
    """Process the corrected rejects in FILE again. - is standard input.

    FILE has the form that `rocketjob rejects download` writes; rows may be left out and resubmitted
    later. If one row is wrong nothing is done. The job goes on, or runs again if it had ended. If
    this was interrupted, do it again with the same file: no record is processed twice.
    """
    job = batch_job(id)
    tab = "\t" if separator == "\\t" else separator
    with opened(file, reading) as source:
        count = job.resubmit(source.source, separator=tab, format=format_, **source.keywords)
    left = job.reject_count
    if as_json:
        print_json(
            {"id": str(id), "class": job.type_name(), "state": job.state, "resubmitted": count}
            | {"rejects": left}
        )
        return
    rest = f"; {counted(left, 'reject')} left" if left else ""
    state = f"is {job.state}" + (": resume it to process them" if job.state == "paused" else "")
    click.echo(f"{counted(count, 'record')} resubmitted; {job.type_name()} {id} {state}{rest}")
