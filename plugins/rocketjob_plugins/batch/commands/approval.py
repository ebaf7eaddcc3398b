"""`rocketjob batch approve`: a job that is held for a person goes on."""

from __future__ import annotations

from typing import Any

import click
from bson import ObjectId

from rocketjob.cli import Command, json_option
from rocketjob.cli.output import print_json
from rocketjob.cli.types import JobId
from rocketjob_plugins.batch.commands.shared import batch_job


@click.command(
    "approve",
    cls=Command,
    short_help="Let a batch job go on that waits for approval.",
    examples=[
        (
            "Its canary is good",
            'batch approve 55aeaf03a26ec0c1bd00008d --reason "looked at its output"',
        ),
        (
            "More may fail from now on",
            "batch approve 55aeaf03a26ec0c1bd00008d --failure-budget 0.05",
        ),
    ],
)
@click.argument("id", type=JobId(), metavar="ID")
@click.option(
    "--failure-budget",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    help="of its records that may fail from now on, such as 0.05",
)
@json_option
def approve(id: ObjectId, failure_budget: float | None, as_json: bool) -> None:
    """Let the batch job ID go on, with all of its slices.

    It waits since its canary is done, or since more of its records have failed than its
    failure_budget allows: rocketjob jobs show says which. Those are accepted. To give it up instead
    there is rocketjob jobs abort.
    """
    job: Any = batch_job(id)
    held_by = job.held_by
    job.approve(failure_budget=failure_budget)
    if as_json:
        print_json({"id": str(id), "class": job.type_name(), "state": job.state, "was": held_by})
    else:
        click.echo(f"{job.type_name()} {id} goes on")
