"""What a worker process has claimed ahead is released when that process stands still.

A job that holds the interpreter, as a regular expression that backtracks or a loop in C does, holds
up all threads of its process; so does a signal that suspends it. The jobs that the process has
claimed and not started would wait for as long as that one job takes, though others are idle. How a
job is kept from being started all the same: see `rocketjob.worker.slots`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import JobTimeout
from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.jobs.job import Job
from rocketjob.model.record import HISTORY
from rocketjob.queue.unusable import loaded
from rocketjob.server.worker_process import Process
from rocketjob.store import Store
from rocketjob.worker import runner

log = Logger("rocketjob.supervisor")

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 0.05  # until the process sees what is written to its memory, and we what it wrote
FIELDS = {name: 1 for name in ("worker_name", "claimed_by", "claim_number", HISTORY)}
REASON = "its worker process stood still"


class Stalled:
    """What one supervisor looks at, twice a second."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._next_look = 0.0

    def look(self, processes: Iterable[Process]) -> int:
        """Release what waits in processes that stand still; return how many jobs.

        Raises:
            Exception: the store cannot be reached.
        """
        now = clock.monotonic()
        if now < self._next_look:
            return 0
        self._next_look = now + LOOK_SECONDS
        for process in processes:
            if names := process.end_overdue(now):
                log.error(
                    "a job holds the interpreter past its timeout: its worker process is ended",
                    process=process.number,
                    performing=", ".join(names),
                )
        return sum(self._release(each) for each in processes if each.stands_still(now))

    def _release(self, process: Process) -> int:
        waiting = self._not_started(process)
        if not waiting:
            return 0
        process.slots.revoke(clock.monotonic())
        threading.Event().wait(SETTLE_SECONDS)
        started = process.slots.started()
        if started is None:
            return 0
        never = [each for each in waiting if each["_id"] not in started]
        writes = [claims.release(stored, reason=REASON) for stored in never]
        given = sum(self.store.write_many(claims.COLLECTION, writes)) if writes else 0
        process.was_relieved()
        if given:
            log.warning(
                "a worker process stands still: what it had claimed ahead is released",
                process=process.number,
                jobs=given,
                performing=", ".join(process.performed()),
            )
        return given

    def _not_started(self, process: Process) -> list[dict[str, Any]]:
        started = process.slots.started()
        if started is None:
            return []
        held = {**claims.held_by(process.claimed_by), "state": "running"}
        found = self.store.collection(claims.COLLECTION).find(held, FIELDS)
        return [each for each in found if each["_id"] not in started]


def fail_overdue(names: Iterable[str], claimed_by: str) -> None:
    """Fail the jobs for which a process was ended.

    Parts of jobs, and jobs that cannot be read any more, are reclaimed as after a crash.

    Raises:
        Exception: the store cannot be reached.
    """
    for name in names:
        if "/" in name:
            continue
        held = {"_id": ObjectId(name), "claimed_by": claimed_by, "state": "running"}
        stored = Job.collection().find_one(held)
        if stored is not None and (job := loaded(stored)) is not None:
            claims.hold(job, claims.claim_in(stored))
            error = JobTimeout(
                f"It has not ended within its timeout of {job.timeout}; its worker process was "
                "ended, since a job in it held the interpreter"
            )
            runner.fail(job, error, runner.Worker(job.worker_name or ""))
