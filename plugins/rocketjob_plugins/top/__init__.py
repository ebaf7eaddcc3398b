"""`rocketjob top`: the whole at a glance, live, with keys to pause, retry and abort jobs.

- `look`: what is read of the store, once every second or two
- `desk`: what is shown of it, and what the keys do
- `frame`: how that looks, as lines of text
- `live`: a thread that looks, and a terminal that shows
- `command`: the command
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.top.command import top  # for start-up time

    cli.add_command(top)
