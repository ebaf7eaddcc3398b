"""Run a job on a schedule that is written as a cron expression.

    class MyCronJob(Cron, Job):
        cron_schedule = "0 1 * * * America/New_York"

    MyCronJob.create()                 # queued for the next occurrence

Fields, all editable and copied: `cron_schedule` (None: an ordinary job), `cron_singleton` (True:
one active job of the class with the same schedule), `cron_after_start` (False: the next instance
is queued when this one completes, fails or is aborted; True: when it starts), `cron_dst` (`safe`,
or `literal`: what happens to fixed hours when the clocks are changed).

The end of one run and the next instance are one step: there are never two, and never none. The
next run is the first occurrence after now, so that after an outage the missed ones run once. A
failed instance has no schedule any more; retrying it runs it alone. With the Retry mixin a run is
over when its retries are; a retry waits no longer than until the next occurrence. An instance that
has expired (`expires_at`) ends the series.
"""

from __future__ import annotations

from typing import Any

from rocketjob import Job, hookimpl
from rocketjob_plugins.cron.job import INDEX, Cron
from rocketjob_plugins.cron.schedule import CronError, CronSchedule

__all__ = ["Cron", "CronError", "CronSchedule"]


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Cron]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    index = {
        "keys": [(INDEX, 1)],
        "name": INDEX,
        "unique": True,
        "partialFilterExpression": {INDEX: {"$exists": True}},
    }
    return {Job.collection_name: [index]}
