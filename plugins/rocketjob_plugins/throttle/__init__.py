"""Defer jobs: limit how many run at once, limit how often they start, or use your own rule.

    class Limited(Throttle, Job):
        throttle_running_jobs = 25
        throttle_group = "mysql"              # share the limit with other classes of this group
        rate_limit = "100/minute"             # at most 100 starts in any minute
        throttle_key = lambda job: job.account_id    # count each account separately

        @throttle
        def replica_lag_exceeded(self) -> bool:
            return replica_lag() > 10

Class attributes: `throttle_running_jobs`, `rate_limit`, `throttle_key`. Field: `throttle_group`
(editable, copied). `throttle_running_jobs` and `rate_limit` are limits: they are evaluated in the
step that claims, and cannot be exceeded however many workers claim. A method marked `@throttle` is
called after a job is claimed. If it returns True, or a reason in words, the job is released, and
jobs that match its `filter` (by default, all of the class) are not claimed until the next re-check,
or until one of them that was running has ended. One that raises, or returns anything else than a
throttle may, is logged and defers its jobs too: no job fails, and no limit is exceeded.

Why jobs wait is stored on the first of them: in `throttled_by`, `throttled_text`, `throttled_at`
and `throttled_since`.
`ThrottleDependentJobs` defers jobs while jobs of other classes run.
"""

from __future__ import annotations

from typing import Any

from rocketjob import Hold, Job, hookimpl, only_for
from rocketjob_plugins.throttle.dependent import ThrottleDependentJobs
from rocketjob_plugins.throttle.job import Throttle
from rocketjob_plugins.throttle.methods import this_class, this_job, throttle
from rocketjob_plugins.throttle.rate import Rate, RateLimit

__all__ = [
    "Rate",
    "RateLimit",
    "Throttle",
    "ThrottleDependentJobs",
    "this_class",
    "this_job",
    "throttle",
]


@hookimpl
@only_for(Throttle)
def veto_claim(job: Throttle) -> Hold | None:
    return job.exceeded_throttle()


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Throttle, ThrottleDependentJobs]


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    """Find who occupies the slots of a key without looking at every running job."""
    return {Job.collection_name: [_index("throttle_value"), _index("throttle_group")]}


def _index(name: str) -> dict[str, Any]:
    exists = {name: {"$exists": True}}
    return {"keys": [(name, 1), ("state", 1)], "name": name, "partialFilterExpression": exists}
