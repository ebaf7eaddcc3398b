"""`rocketjob check`: whether the code at hand can run its classes, and what is stored of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import click

from rocketjob import application
from rocketjob.base.errors import ConfigurationError
from rocketjob.base.text import counted
from rocketjob.cli.command import command, json_option
from rocketjob.cli.errors import FAILURE, BadInput
from rocketjob.cli.output import Cell, Column, clean, print_json, print_table, styled
from rocketjob.cli.session import import_app

if TYPE_CHECKING:
    from rocketjob.queue.survey import Survey

EVERY = 0.5  # seconds between two reports of progress


@command(
    "check",
    changes=False,
    short_help="Check the code before it is deployed.",
    makes_store=False,
    examples=(
        ("The classes of an app", "check --app myapp.jobs"),
        ("Before a deploy: could the new code run what waits?", "check --against-queue"),
    ),
)
@click.option("--against-queue", is_flag=True, help="also look at every job that is not finished")
@json_option
@click.pass_context
def check(ctx: click.Context, against_queue: bool, as_json: bool) -> None:
    """Check the job classes of the app, and whether this code could run the jobs that wait.

    Nothing is run and nothing is changed. Exit code 1 if something is found: classes that are not
    known here, values that do not fit their field, stored fields that the class does not have,
    documents of newer code.
    """
    import_app()
    names = _check_classes()
    if not against_queue:
        print_json({"classes": names}) if as_json else _print_classes(names)
        return
    from rocketjob.queue.survey import Survey  # for start-up time

    survey = Survey().look(application.current().store, progress("looked at"))
    _print_as_json(survey) if as_json else _print(survey)
    if survey.findings:
        ctx.exit(FAILURE)


def _check_classes() -> list[str]:
    from rocketjob.server.classes import find_classes, refuse_wrong_classes  # for start-up time

    current = application.current()
    classes = find_classes(current)
    if not classes.own and not current.config.app:
        raise BadInput("no app module is named, so there is nothing to check: --app myapp.jobs")
    refuse_wrong_classes(classes)
    if not classes.own:
        raise ConfigurationError(f"no job class was found in {', '.join(current.config.app)}")
    return classes.own


def _print_classes(names: Sequence[str]) -> None:
    click.echo(f"{counted(len(names), 'job class', 'job classes')}: {', '.join(names)}")


def progress(done: str) -> Callable[[int], None]:
    """Return what tells on standard error how many jobs were done, on a terminal only."""
    said = [time.monotonic()]

    def tell(count: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - said[0] >= EVERY:
            said[0] = time.monotonic()
            click.echo(f"{count:,} jobs {done} ...", err=True)

    return tell


def _print_as_json(survey: Survey) -> None:
    for finding in survey.findings:
        values = attrs.asdict(finding)
        print_json({**values, "class": values.pop("job_class")})
    print_json({"kind": "summary", "jobs": survey.jobs, "more": survey.more})


def _print(survey: Survey) -> None:
    looked = counted(survey.jobs, "job")
    if not survey.findings:
        click.echo(styled(f"{looked} looked at: this code could run each", fg="green"))
        return
    print_table(
        [
            Column("JOBS", right=True, fixed=True),
            Column("CLASS"),
            Column("WHAT", fixed=True),
            Column("FIELD"),
            Column("EXAMPLE", fixed=True, spare=1),
            Column("WHY", wraps=True, least=30),
        ],
        [
            (
                f"{f.count:,}",
                f.job_class,
                Cell(f.kind, "red"),
                f.field,
                str(f.example),
                clean(f.text),
            )
            for f in survey.findings
        ],
    )
    more = f"; {survey.more:,} more are not listed" if survey.more else ""
    click.echo(f"{looked} looked at{more}")
