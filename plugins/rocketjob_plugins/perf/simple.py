"""Jobs that do nothing: stored one by one and in bulk, then performed by a server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.store import Collection

from .jobs import PerfSimpleJob
from .processes import cpu_seconds, own_mib, peak_mib, tree
from .progress import Progress
from .report import Kind
from .scratch import Scratch

GROUP = 1000
ONE_BY_ONE = 5000  # of the jobs, at most a fifth
LOOK_SECONDS = 0.01
# Rates are of the middle of the queue: one process is ready before the others, and ends after them.
FROM, TO = 0.2, 0.9


@attrs.frozen
class Simple:
    """The workload.

    Attributes:
        kept: whether jobs stay when they have completed; by default they are removed.
    """

    count: int
    workers: int
    processes: int
    kept: bool = False
    name: str = "simple"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {
            "jobs": self.count,
            "workers": self.workers,
            "processes": self.processes,
            "completed jobs": "kept" if self.kept else "removed",
        }

    def kinds(self) -> Sequence[Kind]:
        return (
            Kind("stored one by one", "jobs/s", more=True),
            Kind("stored in bulk", "jobs/s", more=True),
            Kind("performed", "jobs/s", more=True),
            Kind("processor time of the server", "ms/job"),
            Kind("server's start to first end", "ms"),
            Kind("peak memory of the server", "MiB"),
            Kind("its memory at the end, what is shared once", "MiB"),
        )

    def run(self, made: Scratch, progress: Progress) -> Mapping[str, float | None]:
        figures: dict[str, float | None] = {}
        single = min(self.count // 5, ONE_BY_ONE) or 1
        progress.say(f"storing {single:,} jobs one by one")
        figures["stored one by one"] = timed(single, lambda: self._store_singly(made, single))
        rest = self.count - single
        if rest:
            progress.say(f"storing {rest:,} jobs in bulk")
            figures["stored in bulk"] = timed(rest, lambda: self._store(made, rest))
        return figures | self._performed(made, progress)

    def _row(self, made: Scratch) -> dict[str, Any]:
        return {"perf_run": made.run, "destroy_on_complete": not self.kept}

    def _store_singly(self, made: Scratch, count: int) -> None:
        row = self._row(made)
        for _ in range(count):
            PerfSimpleJob.create(**row)

    def _store(self, made: Scratch, count: int) -> None:
        row = self._row(made)
        for start in range(0, count, GROUP):
            PerfSimpleJob.create_many([row] * min(GROUP, count - start))

    def _performed(self, made: Scratch, progress: Progress) -> dict[str, float | None]:
        """Have a server perform them, and time from one mark in the queue to another."""
        jobs = PerfSimpleJob.collection()
        marks = [self._mark(jobs, made, share) for share in (0.0, FROM, TO, 1.0)]
        began = clock.monotonic()
        pid = made.start_server(self.workers, self.processes)
        passed: list[tuple[float, float | None]] = []
        for mark, share in zip(marks, (0.0, FROM, TO, 1.0), strict=True):
            progress.say(f"performing {self.count:,} jobs, {share:.0%} done")
            while is_waiting(jobs, mark):
                made.pause(LOOK_SECONDS)
            passed.append((clock.monotonic(), cpu_seconds(tree(pid))))
        waiting = {"perf_run": made.run, "state": {"$in": ["queued", "running"]}}
        while jobs.find_one(waiting, {"_id": 1}) is not None:
            made.pause(LOOK_SECONDS)
        peak, at_end = peak_mib(tree(pid)), own_mib(tree(pid))
        made.stop_server()
        (first, _), (start, used_before), (end, used), _ = passed
        performed = self.count * (TO - FROM)
        cpu = None
        if used is not None and used_before is not None:
            cpu = 1000 * (used - used_before) / performed
        return {
            "performed": performed / max(end - start, 1e-3),
            "processor time of the server": cpu,
            "server's start to first end": 1000 * (first - began),
            "peak memory of the server": peak,
            "its memory at the end, what is shared once": at_end,
        }

    def _mark(self, jobs: Collection, made: Scratch, share: float) -> Any:
        """Return the id of the job that is so far behind the first."""
        skip = min(int(self.count * share), self.count - 1)
        order = [("_id", 1)]
        (stored,) = jobs.find({"perf_run": made.run}, {"_id": 1}, sort=order, skip=skip, limit=1)
        return stored["_id"]


def is_waiting(jobs: Collection, id: Any) -> bool:
    """Return whether a job has not ended yet; it costs a look by id."""
    stored = jobs.find_one({"_id": id}, {"state": 1})
    return stored is not None and stored["state"] in ("queued", "running")


def timed(count: int, work: Any) -> float:
    """Return how many a second."""
    began = time.perf_counter()
    work()
    return count / max(time.perf_counter() - began, 1e-9)
