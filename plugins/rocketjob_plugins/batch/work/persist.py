"""Go on while the store is out of reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rocketjob.base.backoff import Backoff
from rocketjob.base.log import Logger

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

T = TypeVar("T")
log = Logger("rocketjob.batch")
RETRY_SECONDS = (0.01, 1.0)  # first and longest wait where the store is out of reach


def persistently(job: BatchModel, step: Callable[[], T]) -> T:
    """Repeat a step while the store is out of reach, or others were quicker."""
    pauses, is_first = Backoff(*RETRY_SECONDS), True
    while True:
        try:
            return step()
        except Exception as error:
            if not job.input.store.is_transient(error):
                raise
            if not is_first:
                log.warning("cannot reach the store", error=str(error))
        is_first = False
        time.sleep(pauses.next())
