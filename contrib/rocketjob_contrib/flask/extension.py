"""The extension of Flask: it hands the settings on, and adds `flask rocketjob`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
from flask import Flask
from flask.cli import ScriptInfo

import rocketjob
from rocketjob.base.errors import ConfigurationError
from rocketjob_contrib.host_settings import use_settings

NAME = "rocketjob"
WORKER = "rocketjob_contrib.flask.worker"
_made: list[Flask] = []


class RocketJob:
    """RocketJob in an application of Flask.

    Settings are those of the process: of several applications in one, the last one's hold.

    Args:
        app: None: `init_app` is called later, by what makes the application.

    Raises:
        ConfigurationError: a setting in `app.config["ROCKETJOB"]` is wrong.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Use the settings of an application, and add the command `rocketjob` to it."""
        given = app.config.setdefault("ROCKETJOB", {})
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"ROCKETJOB in the configuration of Flask must be a dict of settings, such as "
                f"{{'url': '...'}}, not {given!r}"
            )
        try:
            if "app" not in given and not rocketjob.configure().app:
                given = {**given, "app": [WORKER]}
            use_settings(given)
        except ConfigurationError as error:
            raise ConfigurationError(f"ROCKETJOB in the configuration of Flask: {error}") from error
        app.extensions[NAME] = self
        app.cli.add_command(command)
        _made[:] = [app]


def made() -> Flask | None:
    """Return the application that was set up last in this process, if there is one."""
    return _made[0] if _made else None


def app_of_process() -> Flask:
    """Return the application that was set up last.

    Raises:
        ConfigurationError: there is none.
    """
    if (app := made()) is None:
        raise ConfigurationError(
            "No application of Flask has called RocketJob.init_app in this process: start servers "
            f"with `flask --app ... rocketjob server`, or name the module that makes it in `app`, "
            f'as app = ["{WORKER}"] with the variable FLASK_APP'
        )
    return app


@click.command(
    NAME,
    help="Run servers, and look at jobs: flask rocketjob --help",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, args: tuple[str, ...]) -> None:
    from rocketjob.cli import main  # for the start-up time of all other commands

    info = context.ensure_object(ScriptInfo)
    info.load_app()  # so that its settings hold
    if info.app_import_path:  # `--app`, which the processes of a server are to know
        os.environ["FLASK_APP"] = info.app_import_path
    main(list(args), "flask rocketjob")
