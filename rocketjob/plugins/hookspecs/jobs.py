"""What happens to a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.plugins.hookspecs.marks import hookspec

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job


@hookspec
def state_changed(job: Job, event: str, source: str, target: str) -> None:
    """Learn of a change of state, after it has been stored.

    An error here is logged with the plugin's name and changes nothing else.
    """
