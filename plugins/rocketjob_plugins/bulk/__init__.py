"""Bulk actions: retry, pause, abort or destroy all jobs that match, by a job where there are many.

    rocketjob jobs retry --bulk --state failed --class ImportJob
    rocketjob jobs set priority=20 --bulk --class ReportJob

    from rocketjob.jobs.bulk import bulk
    bulk(ImportJob.failed(), "retry")

Up to 1,000 jobs are changed at once, by the command, page or program itself; more by a
`BulkActionJob`, with progress, which can be paused, retried and aborted like any job.

    [bulk]
    at_once = 1000

What becomes of each job is stored in the same step as its change, in the collection
`rocket_job.bulk`: so each is changed once, however often the `BulkActionJob` is killed on the way,
also if it has failed again meanwhile. `rocketjob bulk ID` prints it. It is removed with the job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import rocketjob
from rocketjob import Job, hookimpl, only_for
from rocketjob.base.settings import Setting, whole
from rocketjob.jobs.reasons import Section
from rocketjob_plugins.bulk import results
from rocketjob_plugins.bulk.job import BulkActionJob

if TYPE_CHECKING:
    import click

    from rocketjob.base.acts import Act, Deed
    from rocketjob.jobs.bulk import BulkAction
    from rocketjob.store import Insert

__all__ = ["BulkActionJob", "results"]
AT_ONCE = Setting(
    "at_once", 1000, whole(0), "jobs that a bulk action changes without a job", table="bulk"
)
SHOWN = 20  # outcomes shown with a job


@hookimpl
def take_over(action: BulkAction, count: int) -> Job | None:
    if count <= rocketjob.settings("bulk").at_once:
        return None
    return BulkActionJob.of(action, count).save()


@hookimpl
def act_writes(act: Act, deed: Deed) -> Iterable[Insert] | None:
    return results.beside(deed)


@hookimpl
@only_for(BulkActionJob)
def job_sections(job: BulkActionJob) -> list[Section]:
    counts = ", ".join(f"{number:,} {word}" for word, number in job.counted().items())
    lines = [counts, *(each.line for each in results.not_done(job.id, limit=SHOWN))]
    if len(lines) > SHOWN:
        lines.append(f"all of them: rocketjob bulk {job.id}")
    return [Section("Bulk action", lines)]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return {results.COLLECTION: [{"keys": [("bulk", 1), ("word", 1)], "name": "bulk"}]}


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [AT_ONCE]


@hookimpl
def register_jobs() -> list[type[Job]]:
    return [BulkActionJob]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.bulk.command import bulk  # for start-up time

    cli.add_command(bulk)
