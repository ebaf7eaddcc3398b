"""`rocketjob perf simple`: jobs that do nothing, stored first and then run by a server."""

from __future__ import annotations

import attrs

from rocketjob.base import clock

from .job import DemoSimpleJob
from .stage import Stage

GROUP = 1000


@attrs.define
class SimpleTiming:
    """Jobs per second."""

    stored_rate: float
    run_rate: float


def run(stage: Stage, count: int) -> SimpleTiming:
    """Store jobs and let the stage's server run them, timing from the first completion."""
    began = clock.monotonic()
    for start in range(0, count, GROUP):
        rows = [{"demo_run": stage.run}] * min(GROUP, count - start)
        DemoSimpleJob.create_many(rows)
    stored = clock.monotonic() - began
    jobs = DemoSimpleJob.where(demo_run=stage.run)
    stage.start_server()
    first, first_remaining = 0.0, count
    while remaining := jobs.count():
        if remaining < count and not first:
            first, first_remaining = clock.monotonic(), remaining
        stage.check_server()
        stage.pause()
    seconds = clock.monotonic() - (first or began)
    return SimpleTiming(count / stored, first_remaining / max(seconds, 1e-3))
