"""The demo: `rocketjob demo` starts a server and runs one job for each text file in a folder.

Nothing is simulated: the jobs are stored, a server of several processes claims and performs them,
and the table at the end is read from their results. It is also a small example of a plugin that
provides job classes (`register_jobs`) and commands (`register_commands`):

- `job`: `DemoFileJob`, which reads a file and counts its lines and words
- `files`: which files in a folder are text
- `stage`: the store, and the jobs of a run
- `own_server`: the server, in its own process
- `batch`: `DemoBatchJob`, which reverses the lines of one large file on all cores
- `screen`: what is shown during the run and at the end
- `command`: the command
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.jobs.job import Job
from rocketjob.plugins.hookspecs import hookimpl

from .job import DemoFileJob

if TYPE_CHECKING:
    import click

__all__ = ["DemoFileJob", "register_commands", "register_jobs"]


@hookimpl
def register_jobs() -> list[type[Job]]:
    """Let every server run the demo's jobs."""
    from .batch import DemoBatchJob  # for start-up time

    return [DemoFileJob, DemoBatchJob]


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Add `rocketjob demo`."""
    from .command import demo  # for start-up time

    cli.add_command(demo)
