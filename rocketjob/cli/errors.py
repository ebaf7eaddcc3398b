"""Turn errors into exit codes: one clear line on standard error, a traceback only on request.

0 is success, 1 a failure (not found, refused, the job raised, the store cannot be reached), 2 a
wrong use (of a command, option, setting, class, field or value: nothing was done), 130 an
interruption.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from rocketjob.base.errors import RocketJobError, WrongSetting
from rocketjob.base.passwords import hide_passwords
from rocketjob.base.text import printable
from rocketjob.cli.session import Session

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


class Failure(click.ClickException):
    """A valid command did not succeed; the message says what failed."""

    exit_code = FAILURE


class BadInput(click.UsageError):
    """The input is wrong in a way that the message explains fully: the help adds nothing."""


def run(call: Callable[[], Any], session: Session) -> int:
    """Call, show any error, and return the exit code."""
    try:
        code = call()
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_gone()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FAILURE
    except BaseException as error:
        if session.debug:
            told = "".join(traceback.format_exception(_origin(error)))
            click.echo(hide_passwords(told), err=True, nl=False)
        return _report(error)
    return code if isinstance(code, int) else SUCCESS


def _origin(error: BaseException) -> BaseException:
    """Return the error whose traceback matters: our own message already covers the outer one."""
    cause = error.__cause__ if isinstance(error, click.ClickException) else None
    return cause or error


def reader_gone() -> int:
    """Be quiet when the reader of a pipe has had enough, as `head` does."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SUCCESS


def _report(error: BaseException) -> int:
    if isinstance(error, click.Abort | KeyboardInterrupt | EOFError):
        interrupted = isinstance(error.__cause__ or error.__context__ or error, KeyboardInterrupt)
        click.echo("aborted", err=True)
        return INTERRUPTED if interrupted else FAILURE
    if isinstance(error, click.UsageError):
        _say(error.format_message(), _help_hint(error))
        return USAGE
    if isinstance(error, click.ClickException):
        _say(error.format_message())
        return error.exit_code
    if isinstance(error, RocketJobError):
        _say(str(error))
        return USAGE if isinstance(error, WrongSetting) else FAILURE
    _say(f"unexpected {type(error).__name__}: {error}", "--debug shows the traceback")
    return FAILURE


def _help_hint(error: click.UsageError) -> str:
    if error.ctx is None or isinstance(error, BadInput):
        return ""
    return f"see {error.ctx.command_path} --help"


def _say(message: str, hint: str = "") -> None:
    label = click.style("error:", fg="red", bold=True)
    # Most stop with a full stop, which reads badly in front of a bracket.
    text = f"{message.rstrip('.')} ({hint})" if hint else message
    click.echo(f"{label} {printable(hide_passwords(text))}", err=True)
