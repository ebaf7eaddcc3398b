"""Process one large input with all workers at once, in slices, with the output in order.

    class ReverseJob(Batch, Job):
        destroy_on_complete = False
        input_category = InputCategory(slice_size=1000)
        output_category = OutputCategory()

        def perform(self, line):
            return line[::-1]

    job = ReverseJob()
    job.upload("words.txt.gz")
    job.save()
    job.wait()
    job.download("reversed.txt.gz")

A slice is claimed, retried, and recovered like a job. Its output is stored, and its input removed,
in one step: each record is in the output exactly once, whatever dies on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import Job, hookimpl, only_for
from rocketjob.base.config import Config
from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.settings import Setting
from rocketjob_plugins.batch import _moved as _moved
from rocketjob_plugins.batch import hookspecs
from rocketjob_plugins.batch.batch import Batch, batch_throttle
from rocketjob_plugins.batch.category import InputCategory, OutputCategory
from rocketjob_plugins.batch.lower_priority import LowerPriority
from rocketjob_plugins.batch.recovery import claim_owners, reclaim, waiting_quarantined
from rocketjob_plugins.batch.result import Result, Results
from rocketjob_plugins.batch.settings import SLICES_URL, check_slices_store
from rocketjob_plugins.batch.slice import Slice
from rocketjob_plugins.batch.slices import context_of
from rocketjob_plugins.batch.statistics import Statistics
from rocketjob_plugins.batch.throttle_windows import ThrottleWindows

if TYPE_CHECKING:
    import click

    from rocketjob.server.checks import Check

ENDS = ("completed", "failed", "aborted")

__all__ = [
    "Batch",
    "InputCategory",
    "LowerPriority",
    "OutputCategory",
    "Result",
    "Results",
    "Slice",
    "Statistics",
    "ThrottleWindows",
    "batch_throttle",
    "claim_owners",
    "reclaim",
    "waiting_quarantined",
]


@hookimpl
def register_hookspecs(manager: Any) -> None:
    manager.add_hookspecs(hookspecs)


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.batch.commands.approval import approve  # all for start-up time
    from rocketjob_plugins.batch.commands.files import batch
    from rocketjob_plugins.batch.commands.map import show_map
    from rocketjob_plugins.batch.commands.rejects import rejects

    batch.add_command(approve)
    batch.add_command(show_map)
    cli.add_command(batch)
    cli.add_command(rejects)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [SLICES_URL]


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.batch.checks import check_inputs

    return [Check("slices", check_slices_store), Check("batch", check_inputs)]


@hookimpl
def register_signs() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_plugins.batch.checks import held_jobs

    return [Check("approvals", held_jobs)]


@hookimpl
def register_stores(config: Config) -> list[str]:
    url = SLICES_URL.of(config)
    return [] if url is None else [url]


@hookimpl(optionalhook=True)
def encryption_context(collection: str) -> EncryptionContext | None:
    return context_of(collection)


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    # A claim looks for the jobs that can be joined; among all that run they are few.
    index = {
        "keys": [("sub_state", 1), ("state", 1), ("priority", 1), ("_id", 1)],
        "name": "sub_state",
        "partialFilterExpression": {"sub_state": {"$exists": True}},
    }
    return {Job.collection_name: [index]}


@hookimpl
@only_for(Batch)
def state_changed(job: Batch, target: str) -> None:
    """Log the end of a batch job in one line."""
    if target in ENDS and job.state == target:
        seconds = round(job.seconds, 3)
        job.logger.info(f"batch {target}", records=job.record_count, seconds=seconds)


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Batch, LowerPriority, Statistics, ThrottleWindows]
