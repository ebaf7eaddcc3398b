"""What became of the jobs, minute by minute, for charts and alarms, also of jobs that are gone.

    rocketjob metrics --since 24h --class ReportJob

Per minute, class and outcome it keeps how many jobs there were, how long they had waited and how
long they took, both as histograms; and the records, rejects and crashes. Each process counts in
memory, and adds that to the store every `write_seconds`. One that is killed loses what it has
counted since its last write: that is the price for costing no job a write of its own. The history
of a job that is kept is exact.

Minutes are kept for `minutes_days` (8), hours for `hours_days` (90). `read` returns them to
programs. Settings: the table `[metrics]`, see `rocketjob_plugins.metrics.settings`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import rocketjob
from rocketjob import Job, hookimpl
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.settings import Setting
from rocketjob.jobs.claims import COLLECTION
from rocketjob_plugins.metrics import collections
from rocketjob_plugins.metrics.ends import class_of
from rocketjob_plugins.metrics.figures import FAILED_SLICES, SLICES, Figures, Outcome
from rocketjob_plugins.metrics.histogram import Histogram
from rocketjob_plugins.metrics.recorder import classes_of, of_this_process, stop
from rocketjob_plugins.metrics.series import MetricsError, Point, Series, read
from rocketjob_plugins.metrics.settings import SETTINGS
from rocketjob_plugins.metrics.totals import Totals

if TYPE_CHECKING:
    import click

    from rocketjob.jobs.changed import Changed
    from rocketjob.server.checks import Check
    from rocketjob.server.metrics import Labels, Metric

__all__ = [
    "Figures",
    "Histogram",
    "MetricsError",
    "Outcome",
    "Point",
    "Series",
    "Totals",
    "read",
]


@hookimpl
def jobs_changed(changes: list[Changed]) -> None:
    of_this_process().count_changes(changes)


@hookimpl(optionalhook=True)
def slice_done(job: Job, slice: Any) -> None:
    outcome = FAILED_SLICES if slice.state == "failed" else SLICES
    of_this_process().count_slice(job, outcome, slice.records, slice.rejects, slice.seconds)


@hookimpl
def worker_died(performing: list[str]) -> None:
    ids = [id.partition("/")[0] for id in performing]
    classes = classes_of(current().store.collection(COLLECTION), ids)
    of_this_process().count_crashes(classes.get(id, "(gone)") for id in ids)


@hookimpl
def own_process_died(job: Job) -> None:
    of_this_process().count_crashes([class_of(job)])


@hookimpl
def metric_recorded(metric: Metric, value: float, labels: Labels) -> None:
    if current().plugins.metrics.get(metric.name) is metric:  # else it is left out
        of_this_process().record(metric, value, labels)


@hookimpl
def process_stopping() -> None:
    stop()


@hookimpl
def sweep() -> None:
    store, own, now = current().store, rocketjob.settings("metrics"), clock.now()
    collections.roll_up(store)
    collections.remove_minutes(store, now - timedelta(days=own.minutes_days))
    collections.remove_hours(store, now - timedelta(days=own.hours_days))


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return SETTINGS


@hookimpl
def register_signs() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.metrics.signs import long_runs

    return [Check("running jobs", long_runs)]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.metrics.command import metrics  # for start-up time

    cli.add_command(metrics)
