"""The values of the options that every command takes, and their effect on this process.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from rocketjob import application
from rocketjob.base.sources import FILE_VARIABLE

if TYPE_CHECKING:
    from rocketjob.plugins.manager import PluginManager


@attrs.define
class Session:
    """One run of the command line.

    Attributes:
        given: settings from options, by name; they win over file and environment.
        file: a configuration file instead of those in the current directory.
        debug: whether to show tracebacks.
        names_plugins: whether the command itself says which plugins are broken.
        reason: why a person makes the command's changes.
    """

    given: dict[str, Any] = attrs.field(factory=dict)
    file: str | None = None
    debug: bool = False
    names_plugins: bool = False
    reason: str | None = None
    _applied: dict[str, Any] = attrs.field(factory=dict)

    def apply(self, makes_store: bool = True) -> None:
        """Configure this process by the options; repeated only if there are more.

        Args:
            makes_store: whether a store that does not exist is made.

        Raises:
            click.UsageError: there is no such file.
            WrongSetting: the file or the environment has a wrong setting.
        """
        asked = {**self.given, "": self.file} if self.file else dict(self.given)
        if asked != self._applied:
            self._configure(asked)
        if not makes_store:
            application.current().look_only()

    def _configure(self, asked: dict[str, Any]) -> None:
        if self.file:
            if not Path(self.file).is_file():
                raise click.UsageError(f"there is no configuration file {self.file}")
            os.environ[FILE_VARIABLE] = str(Path(self.file).resolve())
        application.reload(**self.given)
        self._applied = asked


def actor() -> str | None:
    """Return who runs this command: the setting `actor`, or else the login name."""
    import getpass

    named = application.current().config.actor
    if named:
        return named
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user without a name, as in containers
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else None


def session_of(ctx: click.Context) -> Session:
    """Return the session of the command that is being run."""
    session = ctx.find_root().obj
    return session if isinstance(session, Session) else Session()


def installed_plugins(session: Session) -> PluginManager:
    """Return the plugins; the help must not need a configuration that is right."""
    from rocketjob.base.errors import WrongSetting
    from rocketjob.plugins.manager import PluginManager  # for start-up time

    try:
        session.apply()
        return application.current().plugins
    except (WrongSetting, click.UsageError):
        return PluginManager(strict=False)


def ask_for_commands(ctx: click.Context) -> None:
    """Ask the plugins for their commands, so that it is known what is wrong with those."""
    root = ctx.find_root()
    if isinstance(root.command, click.Group):
        root.command.list_commands(root)


def import_app(names: Iterable[str] | None = None, lenient: bool = False) -> None:
    """Import the app modules, so that their job classes are known, and those of the plugins.

    Args:
        names: instead of the modules of the setting `app`.
        lenient: a module that fails is a warning: what only shows jobs can do without.

    Raises:
        PluginError: a module does not exist or fails; the message says where.
    """
    from rocketjob.base.errors import PluginError
    from rocketjob.model.app_modules import import_app

    current = application.current()
    _ = current.plugins  # importing a plugin makes its job classes known
    for name in current.config.app if names is None else names:
        try:
            import_app([name])
        except PluginError as error:
            if not lenient:
                raise
            warn(str(error))


def store_line() -> str:
    """Say which store it is, and that it is new if nobody has made it before."""
    from rocketjob.store.port import is_new

    store = application.current().store
    return f"{store.url} (new: made this moment)" if is_new(store) else store.url


def warn(message: str) -> None:
    """Warn the user on standard error, and continue."""
    click.secho(f"warning: {message}", err=True, fg="yellow")


def fits_terminal() -> bool:
    """Return whether standard output is a terminal, read by a person."""
    return sys.stdout.isatty()
