"""Jobs whose claims are measured as the queue grows.

No server knows them: where classes have limits, the claims of all jobs cost more.
"""

from __future__ import annotations

from rocketjob.jobs.job import Job
from rocketjob.model.fields import field
from rocketjob_plugins.throttle import Throttle

from .jobs import OF_RUN


class PerfPlainJob(Job):
    """Is claimed, and released again."""

    perf_run: str = field(default="", description=OF_RUN)

    def perform(self) -> None:
        """Do nothing."""


class PerfHeldJob(Throttle, Job):
    """Waits for one that is said to be running."""

    perf_run: str = field(default="", description=OF_RUN)
    throttle_running_jobs = 1

    def perform(self) -> None:
        """Do nothing."""


class PerfKeyedJob(Throttle, Job):
    """Waits for one with the same key."""

    perf_run: str = field(default="", description=OF_RUN)
    key: int = field(default=0, description="jobs with the same share a limit")
    throttle_running_jobs = 1
    throttle_key = lambda job: job.key  # noqa: E731 (as users write it)

    def perform(self) -> None:
        """Do nothing."""
