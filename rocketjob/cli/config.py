"""`rocketjob config`: every setting, its value, and where the value comes from."""

from __future__ import annotations

import os
from typing import Any

import click

from rocketjob import application
from rocketjob.base import config as settings
from rocketjob.base import sources
from rocketjob.base.passwords import without_secrets
from rocketjob.base.settings import Setting
from rocketjob.cli.command import command, json_option
from rocketjob.cli.output import Column, as_text, print_json, print_table
from rocketjob.cli.session import session_of


@command(
    "config",
    changes=False,
    short_help="Show every setting and its origin.",
    examples=[
        ("Every setting, its value and where it comes from", "config"),
        ("With another file", "config --config production.toml"),
        ("For programs", "config --json | jq -r 'select(.origin != \"default\") | .name'"),
    ],
)
@json_option
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Show every setting, its value, and whether a file, a variable or an option has set it.

    Keys and passwords in URLs are hidden.
    """
    options = session_of(ctx).given
    given = {**application.set_in_code(), **options}
    _ = application.current().plugins  # whose problems every command names
    values, origins = settings.load(given).as_dict(), settings.origins(given)
    rows = [
        (name, shown(setting, values[name]), _origin(name, origins[name], name in options))
        for name, setting in settings.known(values["disabled_plugins"]).items()
    ]
    if as_json:
        for name, value, origin in rows:
            print_json({"name": name, "value": value, "origin": origin})
        return
    print_table(
        [Column("SETTING", fixed=True), Column("VALUE"), Column("ORIGIN")],
        [(name, "" if value is None else as_text(value), origin) for name, value, origin in rows],
    )


def shown(setting: Setting[Any], value: Any) -> Any:
    """Return a setting's value as people may see it."""
    if setting.secret and value:
        return ["(hidden)"] * len(value) if isinstance(value, list) else "(hidden)"
    return without_secrets(value)


def _origin(name: str, origin: str, is_option: bool) -> str:
    if origin == sources.ENVIRONMENT:
        return sources.variable(name)
    if origin == sources.OPTIONS:
        return "command line" if is_option else "configure()"
    return os.path.relpath(origin) if os.path.isabs(origin) else origin
