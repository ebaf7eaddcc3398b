"""The command `rocketjob`: its commands are imported when they are called, not before.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from rocketjob.cli import errors
from rocketjob.cli.command import Group
from rocketjob.cli.session import Session, installed_plugins, session_of, warn
from rocketjob.plugins.manager import PluginManager

START_HERE = """\
Write a job class in a module, store a job, and let a server run it:

\b
  rocketjob perform myapp.jobs:ReportJob username=Jack    # here and now
  rocketjob enqueue myapp.jobs:ReportJob username=Jack    # for a server
  rocketjob jobs list                                     # what happened to it
"""
EPILOG = """\
Exit codes: 0 success, 1 failure, 2 wrong usage. Examples: rocketjob COMMAND --help
"""


class Entry(NamedTuple):
    """A command that is imported on first use.

    `target` is `module:attribute`; `summary` is what the list of commands shows, so that the list
    needs no import.
    """

    name: str
    target: str
    section: str
    summary: str


RUN, LOOK, SHELL, PLUGINS = "Run jobs", "Manage jobs", "Set up", "From plugins"
ENTRIES = (
    Entry("server", "rocketjob.cli.server:server", RUN, "Run a server until it is stopped."),
    Entry("enqueue", "rocketjob.cli.enqueue:enqueue", RUN, "Store a job for a server to run."),
    Entry("perform", "rocketjob.cli.perform:perform", RUN, "Run a job here and now."),
    Entry("jobs", "rocketjob.cli.jobs:jobs", LOOK, "List, show and change jobs."),
    Entry("servers", "rocketjob.cli.servers:servers", LOOK, "List, stop and pause servers."),
    Entry(
        "shell",
        "rocketjob.cli.shell:shell",
        LOOK,
        "A Python prompt with the job classes imported.",
    ),
    Entry("doctor", "rocketjob.cli.doctor:doctor", LOOK, "Show what is wrong and what to do."),
    Entry("check", "rocketjob.cli.check:check", SHELL, "Check the code before it is deployed."),
    Entry(
        "store",
        "rocketjob.cli.store:store",
        SHELL,
        "Maintain the store: indexes, size, moving to another.",
    ),
    Entry("new", "rocketjob.cli.new:new", SHELL, "Write a new plugin or application."),
    Entry("config", "rocketjob.cli.config:config", SHELL, "Show every setting and its origin."),
    Entry("plugins", "rocketjob.cli.plugins:plugins", SHELL, "Show the installed plugins."),
    Entry("completion", "rocketjob.cli.completion:completion", SHELL, "Print a completion script."),
)


class RootGroup(Group):
    """All commands: those of `entries`, and those that plugins add.

    Args:
        entries: commands by name, imported when they are called.
        plugins: instead of those that are installed.
    """

    def __init__(
        self,
        entries: Sequence[Entry] = ENTRIES,
        plugins: PluginManager | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__("rocketjob", **attributes)
        self.entries = {entry.name: entry for entry in entries}
        self._plugins = plugins
        self._added_to: dict[str, dict[str, click.Command]] = {}
        self._asked: PluginManager | None = None
        self._asking = False

    # --- commands ----------------------------------------------------------------------------

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._ask_plugins(ctx)
        return [*self.entries, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        entry = self.entries.get(name)
        if entry is not None:
            return _imported(entry)
        self._ask_plugins(ctx)
        return self.commands.get(name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        name = name or cmd.name
        if self._asking and (name in self.entries or name in self.commands):
            raise click.ClickException(f"there is already a command {name}")
        super().add_command(cmd, name)

    def add_to(self, group: str, cmd: click.Command) -> None:
        """Add a command to a group of the package, such as `jobs`: for plugins.

        Raises:
            click.ClickException: there is no such group, or it has a command of this name.
        """
        entry, added = self.entries.get(group), self._added_to.setdefault(group, {})
        found = _imported(entry) if entry is not None else None
        if not isinstance(found, click.Group):
            raise click.ClickException(f"there is no group of commands {group}")
        if cmd.name in found.commands or cmd.name in added:
            raise click.ClickException(f"there is already a command {group} {cmd.name}")
        added[str(cmd.name)] = cmd

    def added_to(self, ctx: click.Context, group: str) -> Mapping[str, click.Command]:
        self._ask_plugins(ctx)
        return self._added_to.get(group, {})

    def _ask_plugins(self, ctx: click.Context) -> None:
        """Let each plugin add its commands, once; one that fails is recorded and left out."""
        if self._asked is not None:
            return
        self._asked = self._plugins or installed_plugins(session_of(ctx))
        self._asking = True
        self._asked.answers("register_commands", cli=self)
        self._asking = False

    # --- help --------------------------------------------------------------------------------

    def format_sections(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            entry = self.entries.get(name)
            if entry is not None:
                sections.setdefault(entry.section, []).append((name, entry.summary))
            elif not (command := self.commands[name]).hidden:
                section = getattr(command, "section", None) or PLUGINS
                row = (name, command.get_short_help_str(100))
                sections.setdefault(section, []).append(row)
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)

    def format_global_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from rocketjob.cli.command import write_options
        from rocketjob.cli.options import GlobalOption

        options = [p for p in self.get_params(ctx) if isinstance(p, GlobalOption)]
        write_options(ctx, formatter, "Global options, before or after the command", options)

    # --- running -----------------------------------------------------------------------------

    def invoke(self, ctx: click.Context) -> None:
        # What a command returns is not an exit code; those that fail raise or call ctx.exit.
        try:
            super().invoke(ctx)
        except BrokenPipeError:  # click would make it a failure
            ctx.exit(errors.reader_gone())

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and end the process with its exit code."""
        session = Session()
        main = super().main

        def call() -> Any:
            return main(args, prog_name or "rocketjob", complete_var, False, obj=session, **extra)

        with _said_at_the_end():
            code = errors.run(call, session)
        for message in self._problems() if not session.names_plugins else ():
            warn(message)
        sys.exit(code)

    def _problems(self) -> list[str]:
        """Return what is wrong with the plugins that the command has loaded, or left of others."""
        from rocketjob import application

        managers = [self._asked, application.loaded_plugins()]
        problems = dict.fromkeys(text for each in managers if each for text in each.problems)
        return [*problems, *application.unread_settings()]


def _imported(entry: Entry) -> click.Command:
    module, _, attribute = entry.target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


@contextlib.contextmanager
def _said_at_the_end() -> Iterator[None]:
    """Keep what is wrong with plugins off standard error, unless a log is written there.

    It is said once the command has ended: nothing of its output is then in between.
    """
    log, silent = logging.getLogger("rocketjob.plugins"), logging.NullHandler()
    log.addHandler(silent)
    try:
        yield
    finally:
        log.removeHandler(silent)


def make_cli(entries: Sequence[Entry] = ENTRIES, plugins: PluginManager | None = None) -> RootGroup:
    """Return the whole command line.

    Args:
        entries: the commands of the package.
        plugins: instead of those that are installed.
    """
    group = RootGroup(
        entries,
        plugins,
        help="Background jobs and batches, in business-priority order.\n\n" + START_HERE,
        epilog=EPILOG,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
            "color": None,
        },
    )
    group.params.insert(0, _version_option())
    return group


def _version_option() -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            from rocketjob import __version__

            click.echo(f"rocketjob {__version__} (Python {platform.python_version()})")
            ctx.exit()

    return click.Option(
        ["-V", "--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help="print the version and exit",
    )
