"""`rocketjob doctor`: what is wrong here, and what to do about it.

The checks are in `rocketjob.server.kernel_checks`, and those of plugins in the plugins.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import click

from rocketjob import application
from rocketjob.base.errors import RocketJobError
from rocketjob.base.text import counted
from rocketjob.cli.command import command, json_option
from rocketjob.cli.output import clean, print_json, styled
from rocketjob.cli.session import ask_for_commands, fits_terminal, session_of
from rocketjob.server.checks import OK, PROBLEM, WARNING, Check, Finding, Patient

MARKS = {OK: ("ok", "green"), WARNING: ("warning", "yellow"), PROBLEM: ("problem", "red")}


@command(
    "doctor",
    changes=False,
    short_help="Show what is wrong and what to do.",
    makes_store=False,
    examples=(
        ("check everything", "doctor --app myapp.jobs"),
        ("for monitoring: exit code 1 if there is a problem", "doctor --json"),
        ("is a server fit for jobs?", "doctor --deep mongodb://host"),
    ),
)
@click.argument("server", required=False, metavar="[URL]")
@click.option("--deep", is_flag=True, help="run the tests for stores on the server of URL")
@json_option
@click.pass_context
def doctor(ctx: click.Context, server: str | None, deep: bool, as_json: bool) -> None:
    """Check the store, plugins, settings, clocks, classes, servers and jobs.

    Each finding says what to do about it. Exit code 1 if one of them is a problem.

    With --deep only the server of URL is looked at, or of the store that is set: in a database of
    its own, which is then removed, the tests run that every store has to pass. Exit code 0 if
    jobs can be trusted to the server, 1 if not, 2 if it could not be tried.
    """
    if deep:
        from rocketjob.cli import deep as deep_look

        ctx.exit(deep_look.look(server or application.current().config.url, as_json))
    if server is not None:
        raise click.UsageError(f"a URL goes with --deep: rocketjob doctor --deep {server}", ctx)
    session_of(ctx).names_plugins = True
    ask_for_commands(ctx)
    findings = []
    given = {**application.set_in_code(), **session_of(ctx).given}
    for finding in examine(Patient(application.current(), given)):
        findings.append(finding)
        print_json(attrs.asdict(finding)) if as_json else _show(finding)
    if not as_json:
        _show_sum(findings)
    if any(finding.status == PROBLEM for finding in findings):
        ctx.exit(1)


def examine(patient: Patient) -> Iterator[Finding]:
    """Run all checks; without a store only those that do not need one."""
    checks = patient.application.plugins.collect("register_checks")
    is_reached = True
    for check in sorted(checks, key=lambda check: check.needs_store):  # the store itself is before
        if check.needs_store and not is_reached:
            return
        for finding in _made(check, patient):
            is_reached = is_reached and not finding.data.get("unreachable")
            yield finding


def _made(check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check.look(patient)
    except Exception as error:
        message = str(error) if isinstance(error, RocketJobError) else _named(error)
        yield Finding(check.area, PROBLEM, message, data={"unreachable": check.area == "store"})


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# --- looks -----------------------------------------------------------------------------------


def _show(finding: Finding) -> None:
    mark, colour = MARKS[finding.status]
    label = styled(f"{mark:8}", fg=colour, bold=finding.status == PROBLEM)
    _wrapped(f"{label} {styled(f'{finding.area:14}', dim=True)}", clean(finding.message))
    if finding.advice:
        _wrapped(" " * 23, "-> " + finding.advice)


def _wrapped(head: str, text: str) -> None:
    """Print text after a head of 23 columns, wrapped on a terminal only."""
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns - 24 if fits_terminal() else 10_000
    for number, line in enumerate(textwrap.wrap(text, max(30, width)) or [""]):
        click.echo(f"{head if number == 0 else ' ' * 23} {line}")


def _show_sum(findings: list[Finding]) -> None:
    problems, warnings = (_count(findings, status) for status in (PROBLEM, WARNING))
    click.echo()
    if problems or warnings:
        text = ", ".join(part for part in (problems, warnings) if part)
        click.echo(styled(text, fg=MARKS[PROBLEM if problems else WARNING][1]))
    else:
        click.echo(styled("All is well", fg="green"))


def _count(findings: list[Finding], status: str) -> str:
    count = sum(finding.status == status for finding in findings)
    return counted(count, status) if count else ""
