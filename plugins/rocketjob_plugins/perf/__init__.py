"""`rocketjob perf`: what this machine does, with your settings, on a store of its own or on yours.

    rocketjob perf simple --runs 5
    rocketjob perf batch -n 10000000 --json
    rocketjob perf latency --url mongodb://localhost/perf

Each workload is a module with the figures that it takes and a `run`:

- `simple`: jobs that do nothing, stored one by one and in bulk, then performed by a server
- `batch`: a file of lines, reversed by a batch job
- `latency`: from enqueue to start and to end on an idle server, and where the time goes
- `store`: the calls of the store that jobs are made of
- `growth`: what a claim costs as the queue grows

Around them:

- `jobs`: the job classes, which any server can run; `growth_jobs`: those that none does
- `scratch`: the store of a run, the server, and what removes all of it
- `processes`: memory and processor time of a process and of those it started
- `machine`: what machine it is, and whether something else keeps it busy
- `report`: figures of several runs, as a table and as JSON
- `progress`: what is said meanwhile
- `measuring`: runs a workload several times
- `command`: the commands
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.jobs.job import Job
from rocketjob.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_jobs() -> list[type[Job]]:
    """Let every server run the jobs of `rocketjob perf`."""
    from .jobs import PerfBatchJob, PerfSimpleJob, PerfTimedJob  # for start-up time

    return [PerfSimpleJob, PerfBatchJob, PerfTimedJob]


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Add `rocketjob perf`."""
    from .command import perf  # for start-up time

    cli.add_command(perf)
