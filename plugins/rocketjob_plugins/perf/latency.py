"""From enqueue to start and to end on an idle server, and where the time goes.

The stages of a job, one after the other: it is stored; a worker process notices; it has claimed the
job and loaded it; a thread has it and performs it; its completion is stored.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from rocketjob import Server
from rocketjob.base import clock
from rocketjob.cli import Failure

from .jobs import PerfTimedJob
from .processes import cpu_seconds, own_mib, tree
from .progress import Progress
from .report import Kind
from .scratch import READY_SECONDS, Scratch

SHARES = (50, 95, 99)
LOOK_SECONDS = 0.02
PAUSE = (0.03, 0.07)  # seconds between two jobs, at random: in step with nothing
REST_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # processes are importing still when they are first heard of
AFTER_REST = "to start after a second of rest, p50"


class Stages(NamedTuple):
    """Moments of a job, in seconds of the clock that all processes share."""

    enqueued: float
    stored: float
    claiming: float
    claimed: float
    performing: float
    completed: float

    @property
    def to_start(self) -> float:
        return self.performing - self.enqueued

    @property
    def to_end(self) -> float:
        return self.completed - self.enqueued

    def parts(self) -> dict[str, float]:
        """Return how long each stage took, from enqueue to end.

        A worker may notice a job before whoever stored it is told that it is stored, and one that
        was about to look anyway claims it without being told.
        """
        began = max(self.enqueued, self.claiming)
        stored = min(self.stored, began)
        return {
            "store": stored - self.enqueued,
            "notice": began - stored,
            "claim": self.claimed - began,
            "hand over to a thread": self.performing - self.claimed,
            "perform and complete": self.completed - self.performing,
        }


@attrs.frozen
class Latency:
    """The workload."""

    count: int
    workers: int
    processes: int
    idle_seconds: float = 5.0
    name: str = "latency"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {
            "jobs": self.count,
            "workers": self.workers,
            "processes": self.processes,
            "idle seconds": self.idle_seconds,
        }

    def kinds(self) -> Sequence[Kind]:
        return (
            *(Kind(f"to start, p{share}", "ms") for share in SHARES),
            *(Kind(f"to end, p{share}", "ms") for share in SHARES),
            Kind(AFTER_REST, "ms"),
            *(Kind(f"of it: {name}", "ms") for name in Stages(0, 0, 0, 0, 0, 0).parts()),
            Kind("processor time of the idle server", "% of a core", stored=False),
            Kind("memory of the idle server", "MiB", stored=False),
        )

    def run(self, made: Scratch, progress: Progress) -> Mapping[str, float | None]:
        pid = made.start_server(self.workers, self.processes)
        progress.say("waiting for the server")
        self._await_server(made)
        figures = self._idle(made, progress, pid)
        samples = made.folder / "samples.txt"
        draw = random.Random(1)
        pauses = [draw.uniform(*PAUSE) for _ in range(self.count)]
        figures |= of_stages(self._sampled(made, samples, pauses, progress))
        rested = self._sampled(made, samples, [REST_SECONDS] * max(1, self.count // 10), progress)
        figures[AFTER_REST] = 1000 * statistics.median(each.to_start for each in rested)
        made.stop_server()
        return figures

    def _await_server(self, made: Scratch) -> None:
        """Wait until all processes of the server have performed what they were given.

        Raises:
            Failure: it is not there in time.
        """
        assert made.server is not None
        deadline = clock.monotonic() + READY_SECONDS
        while not any(
            server.name == made.server.name and server.workers >= self.workers
            for server in Server.running()
        ):
            if clock.monotonic() > deadline:
                raise Failure(f"the server was not ready within {READY_SECONDS} s")
            made.pause(LOOK_SECONDS)
        made.pause(SETTLE_SECONDS)
        self._sampled(made, made.folder / "warm.txt", [0.0] * 2 * self.workers)

    def _idle(self, made: Scratch, progress: Progress, pid: int) -> dict[str, float | None]:
        """Measure a server that has nothing to do."""
        progress.say("leaving the server alone")
        pids = tree(pid)
        before, began = cpu_seconds(pids), clock.monotonic()
        made.pause(self.idle_seconds)
        after, seconds = cpu_seconds(pids), clock.monotonic() - began
        used = None if before is None or after is None else 100 * (after - before) / seconds
        return {
            "processor time of the idle server": used,
            "memory of the idle server": own_mib(pids),
        }

    def _sampled(
        self,
        made: Scratch,
        samples: Path,
        pauses: Sequence[float],
        progress: Progress | None = None,
    ) -> list[Stages]:
        """Store a job after each pause; return the stages of all, once they have ended."""
        samples.write_text("")
        stored: dict[str, tuple[float, float]] = {}
        for number, seconds in enumerate(pauses):
            made.pause(seconds)
            began = clock.monotonic()
            job = PerfTimedJob.create(perf_run=made.run, samples=str(samples))
            stored[str(job.id)] = (began, clock.monotonic())
            if progress is not None:
                progress.far("jobs", number, len(pauses))
        deadline = clock.monotonic() + READY_SECONDS
        while len(lines := samples.read_text().splitlines()) < len(pauses):
            if clock.monotonic() > deadline:
                raise Failure(f"{len(pauses) - len(lines)} jobs did not end: see servers and jobs")
            made.pause(LOOK_SECONDS)
        return [stages_of(line, stored) for line in lines]


def stages_of(line: str, stored: Mapping[str, tuple[float, float]]) -> Stages:
    """Return the stages of a job from what it has written, and from when it was stored."""
    id, *times = line.split()
    return Stages(*stored[id], *map(float, times))


def of_stages(samples: Sequence[Stages]) -> dict[str, float | None]:
    """Return percentiles of the whole, and the median of each part, in milliseconds."""
    figures: dict[str, float | None] = {}
    for share in SHARES:
        figures[f"to start, p{share}"] = 1000 * percentile((s.to_start for s in samples), share)
        figures[f"to end, p{share}"] = 1000 * percentile((s.to_end for s in samples), share)
    parts = [sample.parts() for sample in samples]
    for name in parts[0]:
        figures[f"of it: {name}"] = 1000 * statistics.median(part[name] for part in parts)
    return figures


def percentile(values: Iterable[float], share: int) -> float:
    """Return the value that this share of all, in percent, does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
