"""Run a job on a schedule that is written as a cron expression.

    class MyCronJob(Cron, Job):
        cron_schedule = "0 1 * * * America/New_York"

    MyCronJob.create()                 # queued for the next occurrence

Fields, all editable and copied: `cron_schedule` (None: an ordinary job), `cron_singleton` (True:
one active job of the class with the same schedule; False: any number, but only one for each name
given by `@scheduled`), `cron_after_start` (False: the next instance is queued when this one
completes, fails or is aborted; True: when it starts), `cron_dst` (`safe` or `literal`: what happens
to fixed hours when the clocks change).

A run ends and the next instance is queued in one step: there are never two, and never none. The
next run is the first occurrence after now, so runs missed during an outage are made up for by one.
Edits made while an instance runs apply to the next one. A failed instance no longer has a schedule:
retrying it runs it once. With the Retry mixin, a run is over once its retries are; a retry waits no
longer than until the next occurrence. An instance that has expired (`expires_at`) ends the series.

`@scheduled` declares schedules in code: see `schedules`. `series` has every series of a store, with
its next times and what became of its last runs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rocketjob import Job, hookimpl, only_for
from rocketjob.base.deprecation import MovedModules
from rocketjob.base.settings import Setting
from rocketjob.jobs.reasons import Reason
from rocketjob.jobs.state_names import known_states
from rocketjob.store.indexes import unique_while
from rocketjob_plugins.cron.job import ACTIVE, INDEX, Cron
from rocketjob_plugins.cron.schedule import CronError, CronSchedule
from rocketjob_plugins.cron.schedules import Schedule, scheduled
from rocketjob_plugins.cron.settings import TIME_ZONE

if TYPE_CHECKING:
    import click

    from rocketjob.server.checks import Check

__all__ = ["Cron", "CronError", "CronSchedule", "Schedule", "scheduled"]

sys.meta_path.append(
    MovedModules(
        {
            "rocketjob_plugins.cron.walls": "rocketjob_plugins.cron.wall_times",
            "rocketjob_plugins.cron.words": "rocketjob_plugins.cron.describe",
        }
    )
)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [TIME_ZONE]


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Cron]


@hookimpl
def register_signs() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.cron.signs import overdue

    return [Check("schedules", overdue)]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.cron.command import cron, schedules_group  # both for start-up time
    from rocketjob_plugins.cron.command_series import schedule

    cli.add_command(cron)
    cli.add_command(schedule)
    cli.add_command(schedules_group)


@hookimpl
@only_for(Cron)
def explain(job: Cron) -> list[Reason]:
    if job.cron_schedule is None or not job.is_scheduled:
        return []
    return [Reason("cron_schedule", f"its schedule is: {job.schedule().describe()}", job.run_at)]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return {Job.collection_name: [unique_while(INDEX, ACTIVE, known_states(Job))]}
