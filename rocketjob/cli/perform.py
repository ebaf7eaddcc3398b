"""`rocketjob perform`: run a job here and now."""

from __future__ import annotations

import traceback
from typing import Any

import attrs
import click

from rocketjob import application
from rocketjob.base.errors import RocketJobError
from rocketjob.base.log_targets import Wanted, wanted
from rocketjob.cli.classes import resolve
from rocketjob.cli.command import command, json_option
from rocketjob.cli.errors import Failure
from rocketjob.cli.job_class import build, job_options
from rocketjob.cli.job_json import summary
from rocketjob.cli.output import plain, print_json, to_json
from rocketjob.cli.session import session_of
from rocketjob.cli.types import as_dict
from rocketjob.server import lifetime


@command(
    "perform",
    changes=False,
    short_help="Run a job here and now.",
    examples=[
        ("Run a job and print what it returns", "perform myapp.jobs:ReportJob username=Jack"),
        (
            "Arguments for perform(self, file_name, *, dry_run)",
            "perform myapp.jobs:ImportJob --arg data.csv --kwarg dry_run=true",
        ),
        (
            "Its debug log on standard error, the traceback if it fails",
            "perform --log-level debug --debug myapp.jobs:ReportJob username=Jack",
        ),
    ],
)
@job_options
@json_option
@click.pass_context
def perform(
    ctx: click.Context,
    spec: str,
    properties: tuple[tuple[str, str], ...],
    args: tuple[str, ...],
    kwargs: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """Run a job of CLASS inline, without storing it, and print what perform returned.

    A result that is a string is printed as it is, any other as JSON; logs go to standard error. If
    the job raises, the exit code is 1. Class, fields and arguments are given as for enqueue.
    """
    job = build(resolve(spec), as_dict(properties), args, as_dict(kwargs, "the argument"))
    logs = application.current().log_service(_log()).start()
    try:
        with lifetime.told_of(application.current().plugins, lifetime.COMMAND, "perform"):
            value = job.perform_now()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(job, error, session_of(ctx).debug) from error
    finally:
        logs.stop()
    if as_json:
        print_json({**summary(job), "result": plain(value)})
    elif value is not None:
        _show(value)


def _log() -> list[Wanted]:
    """Return where logs go: standard output is for the result."""
    return [
        attrs.evolve(one, target="console") if one.target == "json" else one
        for one in wanted(application.current().config.log)
    ]


def _show(value: Any) -> None:
    result = plain(value)
    click.echo(result if isinstance(result, str) else to_json(result, indent=2))


def _failure(job: Any, error: BaseException, debug: bool) -> Exception:
    if isinstance(error, RocketJobError):
        return error
    where = _place(error)
    hint = "" if debug else "; --debug shows the traceback"
    text = f": {error}" if str(error) else ""
    return Failure(f"{type(job).__name__} failed{where}: {type(error).__name__}{text}{hint}")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
