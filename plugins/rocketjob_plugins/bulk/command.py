"""`rocketjob bulk ID`: what became of each job of a bulk action."""

from __future__ import annotations

import attrs
import click
from bson import ObjectId

from rocketjob import Job
from rocketjob.base.errors import NotFound
from rocketjob.cli import Failure, command, json_option
from rocketjob.cli.command import limit_option
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.cli.types import JobId
from rocketjob.jobs.bulk import WORDS
from rocketjob_plugins.bulk.job import BulkActionJob
from rocketjob_plugins.bulk.results import Result, results

STYLES = {"done": "green", "skipped": "dim", "refused": "yellow", "failed": "red"}


@command(
    "bulk",
    changes=False,
    makes_store=False,
    short_help="Show what became of each job of a bulk action.",
    examples=[
        ("What was not done, and why", "bulk 55aeaf03a26ec0c1bd00008d --only failed"),
        ("For programs", "bulk 55aeaf03a26ec0c1bd00008d --limit 0 --json"),
    ],
)
@click.argument("id", type=JobId(), metavar="ID")
@click.option(
    "--only", "word", type=click.Choice(WORDS), metavar="|".join(WORDS), help="of these only"
)
@limit_option()
@json_option
def bulk(id: ObjectId, word: str | None, limit: int, as_json: bool) -> None:
    """Show what became of each job of a bulk action, by the id of its BulkActionJob.

    Bulk actions on few jobs have no such job: `rocketjob audit` has what they did.
    """
    job = _job(id)
    found = list(results(id, word, limit))
    if as_json:
        for each in found:
            print_json(attrs.asdict(each))
        return
    if found:
        columns = [
            Column("JOB", fixed=True),
            Column("CLASS"),
            Column("RESULT", fixed=True),
            Column("WHY", wraps=True, least=20),
        ]
        print_table(columns, [_row(each) for each in found])
    counts = ", ".join(f"{number:,} {word}" for word, number in job.counted().items())
    click.echo(f"{job.description} ({job.state}): {counts}", err=True)


def _job(id: ObjectId) -> BulkActionJob:
    try:
        job = Job.find(id)
    except NotFound as error:
        raise Failure(str(error)) from error
    if not isinstance(job, BulkActionJob):
        raise Failure(f"{type(job).__name__} {id} is not a bulk action")
    return job


def _row(each: Result) -> list[Cell | str]:
    word = Cell(each.word, STYLES.get(each.word, ""))
    return [str(each.job), each.name or "?", word, each.text or ""]
