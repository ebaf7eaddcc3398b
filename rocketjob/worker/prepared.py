"""A change that ends a job, prepared where the store may be out of reach.

Its callbacks and guards can ask the store: the next run of a series is made from what is stored,
for one. What was performed must not fail for that, nor the failure lose what belongs to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rocketjob.base.backoff import Backoff
from rocketjob.states.machine import Change
from rocketjob.store.away import is_away

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

RETRY_SECONDS = (0.05, 5.0)  # first and longest wait
TRIES = 8  # while the store answers: then it is the callback that cannot be done


def prepared(job: Job, waits: bool, make: Callable[[], Change]) -> Change:
    """Return a prepared change of a job, tried again and again while the store is out of reach.

    Args:
        waits: False raises at once instead, where somebody waits for the answer.
        make: prepares it; what that writes on the job is taken back if it cannot be done.
    """
    pauses, tries = None, 0
    while True:
        try:
            return make()
        except Exception as error:
            if not waits or not is_away(error):
                raise
            tries = tries + 1 if _answers(job) else 0
            if tries >= TRIES:
                raise
            job.logger.warning("waits for the store", error=str(error))
        pauses = pauses or Backoff(*RETRY_SECONDS)
        time.sleep(pauses.next())


def changed(job: Job, waits: bool, name: str, arguments: dict[str, Any]) -> Change:
    """Return the prepared change that an event makes; see `prepared`."""

    def make() -> Change:
        change = Change(job, job.event_called(name), arguments)
        change.prepare(save=not job.is_new)
        return change

    return prepared(job, waits, make)


def _answers(job: Job) -> bool:
    try:
        job.collection().find_one({"_id": job.id}, {"_id": 1})
    except Exception:
        return False
    return True
