"""`rocketjob batch upload|download`: a file becomes a batch job, and its output a file."""

from __future__ import annotations

import contextlib
from typing import Any

import click
from bson import ObjectId

from rocketjob import Job, application
from rocketjob.base.text import counted
from rocketjob.cli import Failure, Group, json_option
from rocketjob.cli.classes import resolve
from rocketjob.cli.errors import BadInput
from rocketjob.cli.job_class import build
from rocketjob.cli.job_json import summary
from rocketjob.cli.output import print_json
from rocketjob.cli.session import store_line, warn
from rocketjob.cli.types import JOB_SPEC, JobId, Property, as_dict
from rocketjob.store.capabilities import refuse_one_process
from rocketjob_plugins.batch.batch import Batch
from rocketjob_plugins.batch.commands.shared import (
    STANDARD,
    batch_job,
    check_json,
    named,
    names_of,
    on_terminal,
    opened,
    reader_may_leave,
    reading_options,
    say_written,
    target_of,
)
from rocketjob_plugins.batch.io.tables import asked_for
from rocketjob_plugins.batch.progress import shown_progress
from rocketjob_plugins.batch.streams import ReadKeywords
from rocketjob_plugins.batch.streams.names import shown

batch = Group(
    "batch",
    section="Manage jobs",
    short_help="Upload a file to a new batch job, see how far it is, download an output.",
    help="Create a batch job from a file, see how far it is, and write its output to one.",
    examples=[
        ("One file, one job", "batch upload orders.csv.gz --class myapp.jobs:ImportJob"),
        ("Its output", "batch download 55aeaf03a26ec0c1bd00008d result.csv"),
    ],
)


# --- upload ----------------------------------------------------------------------------------


@batch.command(
    "upload",
    short_help="Create a batch job from a file.",
    examples=[
        (
            "Unpacked as its extensions say; with fields of the job",
            "batch upload orders.csv.gz --class myapp.jobs:ImportJob priority=5 account_id=42",
        ),
        (
            "What a program writes, named so that it is known what it is",
            "batch upload - --file-name orders.csv.zst --class myapp.jobs:ImportJob",
        ),
        (
            "As a spreadsheet program saved it, whatever the class says",
            "batch upload de.csv --encoding cp1252 --class ImportJob "
            """'input_categories={"format": "csv", "format_options": {"separator": ";"}}'""",
        ),
    ],
)
@click.argument("file")
@click.argument("properties", nargs=-1, type=Property(), metavar="[NAME=VALUE]...")
@click.option(
    "--class",
    "spec",
    required=True,
    type=JOB_SPEC,
    metavar="CLASS",
    is_eager=True,  # the shell completes its fields
    help="of the job: module:Class, or Class where --app names its module",
)
@click.option(
    "--category", default="main", show_default=True, metavar="NAME", help="to which input"
)
@reading_options
@json_option
def upload(
    file: str,
    properties: tuple[tuple[str, str], ...],
    spec: str,
    category: str,
    reading: ReadKeywords,
    as_json: bool,
) -> None:
    """Create a batch job with the records of FILE, and print its id. - is standard input.

    FILE is a path or a URL. The job is stored once all of the file is uploaded: no server begins it
    before, and if the upload is interrupted or the file is wrong, there is no job. Fields are given
    as for `rocketjob enqueue`.
    """
    cls = resolve(spec)
    if not issubclass(cls, Batch):
        raise BadInput(f"{cls.__name__} is not a batch job: rocketjob enqueue stores one")
    current = application.current()
    if current.given is None:  # a test's sandbox outlives the command
        refuse_one_process(current.store, "a job that this command stores would end with it")
    job: Any = build(cls, as_dict(properties))
    _check_category(job, category)
    try:
        count = _upload(job, file, category, reading, on_terminal(as_json))
        _store(job)
    except BaseException:
        _take_back(job)
        raise
    _say_stored(job, count, as_json)


def _check_category(job: Batch, category: str) -> None:
    try:
        job.input_category_for(category)
    except ValueError as error:
        raise BadInput(f"--category: {error}") from error


def _upload(job: Batch, file: str, category: str, reading: ReadKeywords, shows: bool) -> int:
    with opened(file, reading) as source, shown_progress(shows, source.file) as progress:
        count: int = job.upload(source.source, category, progress=progress, **source.keywords)
    return count


def _store(job: Batch) -> None:
    if category := next(
        (each for each in job.input_categories if each.file_name == "<stdin>"), None
    ):
        category.file_name = None  # there is no such file to be read again
    stored = job.submit()
    if stored.id != job.id:
        raise Failure(f"nothing was stored: there is {stored!r} already")


def _take_back(job: Batch) -> None:
    """Remove what was uploaded to a job, unless that is stored all the same."""
    with contextlib.suppress(Exception):  # what was wrong is said already
        if Job.collection().find_one({"_id": job.id}, {"_id": 1}) is None:
            job.cleanup()


def _say_stored(job: Batch, count: int, as_json: bool) -> None:
    click.echo(f"stored in {store_line()}", err=True)
    if not count:
        warn("the file has no records")
    if as_json:
        print_json({**summary(job), "records": count})
        return
    click.echo(str(job.id))
    cls = type(job)
    click.echo(f"{cls.__name__} is queued with {counted(count, 'record')}", err=True)
    for category in job.input_categories:
        if category.format is None and (format := asked_for(category.file_name)):
            change = f'''input_categories={{"name": "{category.name}", "format": "{format}"}}'''
            click.echo(f"each is a line as it stands; for its columns: '{change}'", err=True)


# --- download --------------------------------------------------------------------------------


@batch.command(
    "download",
    changes=False,
    makes_store=False,
    short_help="Write the output of a batch job to a file.",
    examples=[
        ("Compressed as its name says", "batch download 55aeaf03a26ec0c1bd00008d result.csv.gz"),
        ("To another program", "batch download 55aeaf03a26ec0c1bd00008d - | wc -l"),
        ("Another output", "batch download 55aeaf03a26ec0c1bd00008d bad.txt --category invalid"),
        (
            "What there is of a job that has failed",
            "batch download 55aeaf03a26ec0c1bd00008d part.csv --partial",
        ),
    ],
)
@click.argument("id", type=JobId(), metavar="ID")
@click.argument("file")
@click.option("--category", default="main", show_default=True, metavar="NAME", help="which output")
@click.option("--force", is_flag=True, help="replace the file if there is one")
@click.option("--partial", is_flag=True, help="also of a job that has not completed")
@click.option("--header-line", metavar="LINE", help="instead of the header line of its columns")
@click.option(
    "--streams",
    metavar="NAMES",
    help="how it is packed, such as gz; the file's extensions say so otherwise",
)
@json_option
def download(
    id: ObjectId,
    file: str,
    category: str,
    force: bool,
    partial: bool,
    header_line: str | None,
    streams: str | None,
    as_json: bool,
) -> None:
    """Write the output of the job ID to FILE, in the order of the input. - is standard output.

    FILE is a path or a URL, which has its content when all of it is written; a file that is there
    already is refused. A job that has not completed is refused too.
    """
    check_json(as_json, file)
    job = batch_job(id)
    _check_output(job, category)
    _check_state(job, partial)
    target = target_of(file, force)
    try:
        with reader_may_leave():
            count = job.download(
                target,
                category,
                header_line=header_line,
                streams=None if streams is None else names_of(streams),
                progress=on_terminal(as_json) and file != STANDARD,
            )
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        raise Failure(str(error)) from error  # it has been reopened this moment
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise BadInput(str(error)) from error
    values = {"id": str(id), "class": job.type_name(), "state": job.state, "category": category}
    also = {"file": shown(file), "records": count}
    text = f"{counted(count, 'record')} written to {named(file)}"
    say_written({**values, **also}, text, file, as_json)
    if rejected := job.reject_count:
        lacking = f"the output lacks {counted(rejected, 'rejected record')}"
        warn(f"{lacking}: rocketjob rejects list {id}")


def _check_output(job: Batch, category: str) -> None:
    if not job.output_categories:
        raise Failure(f"{type(job).__name__} has no output: its class has no output_category")
    try:
        job.output_category_for(category)
    except ValueError as error:
        raise BadInput(f"--category: {error}") from error


def _check_state(job: Batch, partial: bool) -> None:
    name, state = f"{type(job).__name__} {job.id}", job.state
    if state == "running":
        raise Failure(
            f"{name} is running, so that its output is not complete: wait for it, or pause it and "
            "take what there is with --partial"
        )
    if state == "aborted":
        raise Failure(f"{name} was aborted: its output was removed then")
    if state != "completed" and not partial:
        raise Failure(
            f"{name} is {state}, so that its output is not complete: --partial writes what there is"
        )
