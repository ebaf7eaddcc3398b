"""The command line `rocketjob`.

Each module here holds a command or a group of commands, thin over the API that everybody has; it is
named in `root.ENTRIES` and imported when it is called. Plugins add commands with the hook
`register_commands`; `command`, `Group` and `json_option` give them the same looks.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

from collections.abc import Sequence

from rocketjob.cli.command import Command, Group, command, json_option
from rocketjob.cli.errors import Failure
from rocketjob.cli.options import setting_option
from rocketjob.cli.root import make_cli
from rocketjob.cli.session import import_app

__all__ = [
    "Command",
    "Failure",
    "Group",
    "command",
    "import_app",
    "json_option",
    "main",
    "make_cli",
    "setting_option",
]


def main(args: Sequence[str] | None = None, program: str | None = None) -> None:
    """Run a command line, and end the process with its exit code.

    Args:
        args: the command and its arguments; None: those of this process.
        program: what is typed before them, as help shows it; None: `rocketjob`.
    """
    import contextlib
    import gc
    import sys

    from rocketjob.base.standard_streams import reopen_closed

    reopen_closed()  # before anything opens a file
    from rocketjob import application

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # it may have been replaced
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        make_cli().main(args, program)
    finally:
        application.close()
        gc.freeze()  # what is left is given back anyway: to look through it takes 0.1 s
