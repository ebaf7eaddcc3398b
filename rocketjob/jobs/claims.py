"""Claims: who may work on a job, and write it."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from rocketjob.model.record import record_of

COLLECTION = "rocket_job.jobs"


class Claim(NamedTuple):
    """Who works on a job: a process of a server incarnation, and which claim of the job it is."""

    by: str
    number: int
    at: float = inf  # when it was made to start the job, in seconds of the monotonic clock


def claim_of(job: Any) -> Claim | None:
    """Return the claim under which this object writes the job; None if it has none."""
    claim: Claim | None = record_of(job).claim
    return claim


def hold(job: Any, claim: Claim) -> None:
    """Let this object write the job under a claim, and no longer without."""
    record_of(job).claim = claim
