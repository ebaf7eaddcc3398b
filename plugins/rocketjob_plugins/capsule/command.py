"""`rocketjob jobs capsule` and `rocketjob replay`.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from bson import ObjectId

from rocketjob import application
from rocketjob.base.passwords import hide_passwords
from rocketjob.base.text import counted
from rocketjob.base.tracebacks import from_job_code
from rocketjob.cli import Failure, command, import_app, json_option
from rocketjob.cli.errors import FAILURE, BadInput
from rocketjob.cli.output import clean, print_json, styled
from rocketjob.cli.types import JobId, Property, as_dict
from rocketjob_plugins.capsule.errors import CapsuleError

if TYPE_CHECKING:
    from rocketjob_plugins.capsule.form import Capsule
    from rocketjob_plugins.capsule.replaying import Replayed

STANDARD = "-"  # stands for standard input and output
ID = "55aeaf03a26ec0c1bd00008d"


# --- jobs capsule ------------------------------------------------------------------------------


@command(
    "capsule",
    makes_store=False,
    short_help="Write a job, or a failed slice, to a file that replays it.",
    examples=[
        ("A failed job; of a batch job the first slice that failed", f"jobs capsule {ID}"),
        ("One slice, by the number of its first record", f"jobs capsule {ID} --slice 2001"),
        (
            "Only the record that failed, to a file of this name",
            f"jobs capsule {ID} --slice --record-only -o bad.rjc",
        ),
    ],
)
@click.argument("id", type=JobId(), metavar="ID")
@click.option(
    "--slice",
    "slice_",
    type=click.IntRange(0),
    is_flag=False,
    flag_value=0,
    metavar="[N]",
    help="the slice whose first record has the number N; without N the first that failed",
)
@click.option("--record-only", is_flag=True, help="of the slice only the record that failed")
@click.option(
    "--secrets",
    is_flag=True,
    help="with encrypted values in clear, and what looks like a password or a key",
)
@click.option("-o", "--output", metavar="FILE", help="instead of CLASS-ID.rjc here; - prints it")
@click.option("--force", is_flag=True, help="replace the file if there is one")
@json_option
def capsule(
    id: ObjectId,
    slice_: int | None,
    record_only: bool,
    secrets: bool,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the job ID, or a failed slice of it, to a file: `rocketjob replay` runs it elsewhere.

    It has the document of the job, one slice with its records, the class, and the exception, as
    JSON. Encrypted values, and what looks like a password or a key, are left out. That it was
    made is in the audit.
    """
    from rocketjob_plugins.capsule.making import capsule_of

    if as_json and output == STANDARD:
        raise BadInput("--json and - would both be on standard output: name a file")
    import_app()
    made = capsule_of(id, slice_, secrets=secrets, record_only=record_only)
    data = made.to_bytes()
    if output == STANDARD:
        sys.stdout.buffer.write(data)
    else:
        _write(Path(output or made.name), data, force)
    _say_made(made, output or made.name, len(data), as_json)


def _write(path: Path, data: bytes, force: bool) -> None:
    """Write a file that nobody else may read; what is there is replaced in one step, or not."""
    if not force and os.path.lexists(path):
        raise Failure(f"{path} is there already: --force replaces it")
    partial = None
    try:
        number, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(number, "wb") as file:
            file.write(data)
        os.replace(partial, path)
    except OSError as error:
        if partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(partial)
        raise Failure(f"{path} cannot be written: {error.strerror or error}") from error


def _say_made(made: Capsule, file: str, size: int, as_json: bool) -> None:
    part = made.slice
    if as_json:
        print_json(
            {
                "file": file,
                "class": made.class_name,
                "id": str(made.document["_id"]),
                "slice": part.document["_id"] if part is not None else None,
                "records": len(part.records) if part is not None and part.records else None,
                "bytes": size,
                "left_out": list(made.left_out),
                "has_secrets": made.has_secrets,
            }
        )
        return
    of = ""
    if part is not None:
        of = f", slice {part.document['_id']}"
        of += f" with {counted(len(part.records), 'record')}" if part.records is not None else ""
    where = "standard output" if file == STANDARD else file
    click.echo(clean(f"{made.class_name} {made.document['_id']}{of} written to {where}"), err=True)
    for text in made.left_out:
        click.echo(clean(f"left out: {text}"), err=True)


# --- replay ------------------------------------------------------------------------------------


@command(
    "replay",
    changes=False,
    makes_store=False,
    section="Run jobs",
    short_help="Run a job or slice from a capsule, here.",
    examples=[
        ("The same exception as there?", f"replay ImportJob-{ID}.rjc --app myapp.jobs"),
        ("Look round where it was raised", f"replay ImportJob-{ID}.rjc --pdb"),
        ("With what was left out of it", f"replay ImportJob-{ID}.rjc api_key=test"),
        ("Since which commit it fails", f"git bisect run rocketjob replay ImportJob-{ID}.rjc"),
    ],
)
@click.argument("file", metavar="FILE")
@click.argument("values", nargs=-1, type=Property(), metavar="[NAME=VALUE]...")
@click.option("--pdb", "debug", is_flag=True, help="open the debugger where it was raised")
@click.option("--run-code", is_flag=True, help="run code that the capsule itself holds, too")
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    file: str,
    debug: bool,
    values: tuple[tuple[str, str], ...],
    run_code: bool,
    as_json: bool,
) -> None:
    """Run what is in the capsule FILE, which `rocketjob jobs capsule` has written.

    It is run in this process, by the code that is here, with a store of its own in memory: never
    that of the settings, none of which are used but app and log_level. What perform does to other
    systems it does. The exit code is 0 if nothing is raised, 1 if an exception is, the same or
    another one, and 2 if the capsule cannot be run. NAME=VALUE gives the job's field another value,
    or one that was left out. - is standard input.
    """
    from rocketjob_plugins.capsule import form, replaying

    config = application.current().config
    settings = {"log_level": config.log_level}
    try:
        made = form.read(_read(file))
        with replaying.private_store(settings):
            import_app(config.app)
            logs = application.current().log_service().start()
            try:
                found = replaying.replay(made, as_dict(values), run_code=run_code)
            finally:
                logs.stop()
            _show(made, found, replaying.has_same_source(made), as_json)
            if debug and found.error is not None:
                _look_round(found.error)
    except CapsuleError as error:
        raise BadInput(f"{file}: {error}") from error
    if found.error is not None:
        ctx.exit(FAILURE)


def _read(file: str) -> bytes:
    from rocketjob_plugins.capsule import form

    if file == STANDARD:
        return sys.stdin.buffer.read(form.MOST + 1)
    try:
        with open(file, "rb") as opened:
            return opened.read(form.MOST + 1)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from error


def _show(made: Capsule, found: Replayed, same_source: bool | None, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(made, found, same_source))
        return
    click.echo(clean(_what(made, found)), err=True)
    for text in made.left_out:
        click.echo(clean(f"left out: {text}"), err=True)
    if same_source is False:
        click.echo("the file of the class is not as it was where the capsule was made", err=True)
    if found.error is None:
        click.echo(styled("it raises nothing here", fg="green"))
        return
    error = found.error.with_traceback(from_job_code(found.error.__traceback__))
    for line in hide_passwords("".join(traceback.format_exception(error))).splitlines():
        click.echo(clean(line), err=True)
    if found.outcome == "same":
        click.echo(styled("the same exception as in the capsule", fg="red"))
    else:
        text = f"not the exception of the capsule, which is {_known(made)}"
        click.echo(styled(text, fg="yellow"))


def _what(made: Capsule, found: Replayed) -> str:
    """Say what was run."""
    of = made.job_class.get("package")
    what = f"{made.class_name} {made.document['_id']}{f' of {of}' if of else ''}"
    if made.slice is not None:
        what += f", slice {made.slice.document['_id']}, record {found.record_number}"
    made_at, by = made.made.get("at"), made.made.get("rocketjob")
    return f"{what}; made at {made_at} by RocketJob {by}"


def _known(made: Capsule) -> str:
    exception = made.exception
    if exception is None:
        return "none: it had not failed"
    message = exception.get("message")
    return clean(f"{exception.get('class_name')}{f': {message}' if message else ''}"[:500])


def _as_json(made: Capsule, found: Replayed, same_source: bool | None) -> dict[str, Any]:
    return {
        "class": made.class_name,
        "id": str(made.document["_id"]),
        "slice": made.slice.document["_id"] if made.slice is not None else None,
        "record_number": found.record_number,
        "outcome": found.outcome,
        "exception": attrs.asdict(found.exception) if found.exception is not None else None,
        "expected": made.exception,
        "same_source": same_source,
        "left_out": list(made.left_out),
    }


def _look_round(error: BaseException) -> None:
    """Open the debugger at the line that raised; its store is still the replay's own."""
    import pdb

    pdb.post_mortem(error.__traceback__)
