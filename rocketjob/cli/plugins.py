"""`rocketjob plugins`: what was found, from which distribution, and whether it works."""

from __future__ import annotations

import attrs
import click

from rocketjob import application
from rocketjob.base.text import did_you_mean
from rocketjob.cli.command import command, json_option
from rocketjob.cli.errors import FAILURE, Failure
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.cli.session import ask_for_commands, session_of, warn
from rocketjob.plugins.infos import PluginInfo


@command(
    "plugins",
    changes=False,
    short_help="Show the installed plugins.",
    examples=[
        ("All plugins, and what each provides", "plugins"),
        ("One, with its settings, commands and the fields of its mixins", "plugins retry"),
        ("Run without one", "plugins --set disabled_plugins=slack"),
        ("For programs", "plugins --json | jq 'select(.status == \"error\")'"),
    ],
)
@click.argument("name", required=False)
@json_option
@click.pass_context
def plugins(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Show each plugin: its distribution, whether it is enabled, its hooks, mixins and jobs.

    With the name of one, everything that it brings: settings, commands, mixins with their fields,
    jobs, states, and whatever else it registers. A plugin that cannot be loaded is shown with its
    error, and makes the exit code 1.
    """
    session_of(ctx).names_plugins = True
    ask_for_commands(ctx)
    infos = sorted(application.current().plugins.infos(), key=lambda info: info.name)
    if name is not None:
        infos = [_named(name, infos)]
        _show_one(infos[0], as_json)
    elif as_json:
        for info in infos:
            print_json({**attrs.asdict(info), "status": _status(info)})
    elif infos:
        _print(infos)
    else:
        click.echo("No plugins were found: is rocketjob installed? try pip install -e .", err=True)
    if not infos or any(info.error for info in infos):
        ctx.exit(FAILURE)


def _named(name: str, infos: list[PluginInfo]) -> PluginInfo:
    """Return the plugin of a name.

    Raises:
        Failure: there is none.
    """
    found = {info.name: info for info in infos}
    if name not in found:
        hint = did_you_mean(name, found, f"there are {', '.join(found)}")
        raise Failure(f"there is no plugin {name}; {hint}")
    return found[name]


def _show_one(info: PluginInfo, as_json: bool) -> None:
    from rocketjob.cli import plugin_page  # for start-up time

    current = application.current()
    found = plugin_page.collected(current.plugins, info, current.config)
    found["status"] = _status(info)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(plugin_page.lines(found)))


def _status(info: PluginInfo) -> str:
    if info.error:
        return "error"
    return "enabled" if info.enabled else "disabled"


def _print(infos: list[PluginInfo]) -> None:
    styles = {"enabled": "green", "disabled": "yellow", "error": "red"}
    print_table(
        [
            Column("NAME", fixed=True),
            Column("DISTRIBUTION", fixed=True),
            Column("STATUS", fixed=True),
            Column("PROVIDES", wraps=True),
        ],
        [
            (
                info.name,
                f"{info.distribution} {info.version}",
                Cell(_status(info), styles[_status(info)]),
                _brings(info),
            )
            for info in infos
        ],
    )
    for info in infos:
        if info.error:
            click.secho(f"error: {info.error}", err=True, fg="red")
        for warning in info.warnings:
            warn(warning)


def _brings(info: PluginInfo) -> str:
    parts = (
        ("hooks", info.hooks),
        ("mixins", info.mixins),
        ("states", info.states),
        ("jobs", info.jobs),
    )
    return "; ".join(f"{name}: {', '.join(names)}" for name, names in parts if names)
