"""`rocketjob enqueue`: store a job, or many."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from rocketjob import Job, application
from rocketjob.base.errors import ValidationError
from rocketjob.cli.classes import resolve
from rocketjob.cli.command import command, json_option
from rocketjob.cli.errors import BadInput, Failure
from rocketjob.cli.job_class import build, job_options
from rocketjob.cli.job_json import summary
from rocketjob.cli.output import print_json
from rocketjob.cli.session import store_line
from rocketjob.cli.types import as_dict
from rocketjob.model.types import exact_json
from rocketjob.store.capabilities import refuse_one_process

MAX_SHOWN = 5  # wrong lines of a file that are told at once


@command(
    "enqueue",
    short_help="Store a job for a server to run.",
    examples=[
        (
            "Store a job; its fields are given as strings",
            "enqueue myapp.jobs:ReportJob username=Jack priority=5",
        ),
        (
            "Run it in two hours or later",
            "enqueue myapp.jobs:ReportJob username=x run_at=2h",
        ),
        (
            "Arguments for perform(self, file_name, *, dry_run)",
            "enqueue myapp.jobs:ImportJob --arg data.csv --kwarg dry_run=true",
        ),
        (
            "Just the class, if its module is named in app",
            "enqueue --app myapp.jobs ReportJob username=Jack",
        ),
        (
            "Many jobs, all or none: one JSON object per line",
            "enqueue myapp.jobs:ReportJob --many users.jsonl priority=70",
        ),
    ],
)
@job_options
@click.option(
    "--many",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="store one job per line, a JSON object with its fields; - is standard input",
)
@json_option
def enqueue(
    spec: str,
    properties: tuple[tuple[str, str], ...],
    args: tuple[str, ...],
    kwargs: tuple[tuple[str, str], ...],
    many: str | None,
    as_json: bool,
) -> None:
    """Store a job of CLASS for a server to run, and print its id.

    CLASS is module:Class, or just Class where --app (or the setting app) names its module. Fields
    are parsed by their types: times as 2026-01-31T08:30:00Z or from now as 2h, lists as JSON. So
    are the arguments of perform by its annotations; one without an annotation is JSON if it parses,
    otherwise a string, as is a number such as 00501 that would be written differently.
    """
    fields = as_dict(properties)
    cls = resolve(spec)
    current = application.current()
    if current.given is None:  # a test's sandbox outlives the command
        refuse_one_process(current.store, "a job that this command stores would end with it")
    if many is None:
        stored = [build(cls, fields, args, as_dict(kwargs, "the argument")).submit()]
    elif args or kwargs:
        raise click.UsageError(
            "--many cannot be combined with --arg or --kwarg: give fields on each line"
        )
    else:
        stored = _store_many(cls, fields, many)
    _show(stored, as_json)


def _store_many(cls: type[Job], fields: dict[str, str], file: str) -> list[Job]:
    try:
        with click.open_file(file, encoding="utf-8") as lines:
            return cls.create_many(list(_rows(cls, fields, lines)))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--many {file}: {getattr(error, 'strerror', None) or error}") from error


def _show(stored: list[Job], as_json: bool) -> None:
    click.echo(f"stored in {store_line()}", err=True)
    for job in stored:
        if as_json:
            print_json(summary(job))
        else:
            click.echo(str(job.id))
    if sys.stderr.isatty() and stored:
        cls = type(stored[0])
        what = f"{len(stored)} {cls.__name__} are" if len(stored) > 1 else f"{cls.__name__} is"
        click.echo(
            f"{what} queued; this runs it: rocketjob server --app {cls.__module__}",
            err=True,
        )


def _rows(cls: type[Job], fields: dict[str, str], lines: Iterable[str]) -> Iterator[Job]:
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield build(cls, {**fields, **_object(line)})
        except ValidationError as error:
            raise Failure(f"nothing was stored: line {number}: {error}") from error
        except (click.UsageError, ValueError) as error:
            wrong.append(f"line {number}: {error}")
            if len(wrong) == MAX_SHOWN:
                break
    if wrong:
        raise BadInput("nothing was stored: " + "; ".join(wrong))


def _object(line: str) -> dict[str, Any]:
    try:
        value = exact_json.loads(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(
            f'must be a JSON object such as {{"priority": 5}}, not {line.strip()[:40]}'
        )
    return value
