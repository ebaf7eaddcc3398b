"""What is done about a job that has a time limit, while it is performed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rocketjob.jobs.performance import performance_of

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

T = TypeVar("T")


def within_timeout(job: Job, perform: Callable[[], T]) -> T:
    """Perform a job, or a part of it, that has a `timeout`."""
    performance = performance_of(job)
    performance.begin(job.timeout)
    try:
        return perform()
    finally:
        performance.end()
