"""Whether a worker goes on with a batch job, or something has come between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from rocketjob.jobs import holds
from rocketjob.jobs.performance import performance_of
from rocketjob.model.record import values_of
from rocketjob.store.away import is_away

if TYPE_CHECKING:
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.model import BatchModel

LOOK_SECONDS = 0.5  # between two looks at the job's state within a slice
URGENT_SECONDS = 5.0  # between two looks for more urgent jobs, if `re_check_seconds` is not less
FIELDS = dict.fromkeys(
    ("state", "sub_state", "priority", "throttle_running_workers", *holds.KEYS), 1
)


@attrs.define(eq=False)
class Interruption:
    """What may come between a worker and a batch job.

    Attributes:
        happened: whether it has: then no more slices are taken.
    """

    job: BatchModel
    worker: Worker
    happened: bool = False
    _looked: float = 0.0
    _looked_for_urgent: float = attrs.field(factory=time.monotonic)

    def goes_on(self) -> bool:
        """Look, before slices are taken, whether they are to be."""
        if not self.happened:
            stops = self.worker.stopping.is_set()
            self.happened = stops or not self._job_runs() or self._is_less_urgent()
        return not self.happened

    def _job_runs(self) -> bool:
        """Read the job's state; what people change while it runs takes effect here."""
        job = self.job
        self._looked = time.monotonic()
        if job.is_new:
            return job.is_running
        stored = job.collection().find_one({"_id": job.id}, FIELDS)
        if stored is None or stored["state"] != "running":
            return False
        values = values_of(job)
        values["priority"] = stored["priority"]
        values["throttle_running_workers"] = stored.get("throttle_running_workers")
        holds.refresh(job, stored)
        return stored.get("sub_state") == "processing"

    def _is_less_urgent(self) -> bool:
        queue = self.worker.queue
        if queue is None:
            return False
        now = time.monotonic()
        if now - self._looked_for_urgent < min(URGENT_SECONDS, queue.config.re_check_seconds):
            return False
        self._looked_for_urgent = now
        return queue.more_urgent(self.job)

    def look_at(self) -> float:
        """Return when, by `time.monotonic`, `is_now` looks again."""
        return self._looked + LOOK_SECONDS

    def is_now(self) -> bool:
        """Look now and then, between two records, whether to stop here."""
        performance = performance_of(self.job)
        if performance.is_due():
            performance.ask_for_time()
            return True
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        try:
            self.happened = not self._job_runs()
        except Exception as error:
            if not is_away(error):
                raise
            # The records have not failed for that: what is under way goes on, and is kept until
            # it can be stored. Between two looks that wait in vain something is done too.
            self._looked = time.monotonic()
        return self.happened
