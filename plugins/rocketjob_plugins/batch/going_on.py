"""A batch job goes on: slices of it were queued from outside, after it may have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob_plugins.batch.holding import accept_what_is_left

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel


def let_go_on(job: BatchModel) -> None:
    """Process what was queued; not before it is, for whoever ends the job looks for it then."""
    if job.is_new:
        return
    job.reload()
    if job.state != "paused" and not (job.is_running and job.sub_state == "processing"):
        job.reopen()  # one that is paused goes on when it is resumed
    else:
        accept_what_is_left(job)
