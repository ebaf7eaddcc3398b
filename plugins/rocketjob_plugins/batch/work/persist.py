"""Go on while the store is out of reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rocketjob.base import clock
from rocketjob.base.backoff import Backoff
from rocketjob.base.log import Logger

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

T = TypeVar("T")
log = Logger("rocketjob.batch")
PATIENCE = 2.0  # seconds until a worker that has other work leaves
RETRY_SECONDS = (0.01, 1.0)  # first and longest wait where the store is out of reach


class Away(Exception):
    """The store of the slices has been out of reach for a while, and there is other work."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def persistently(
    job: BatchModel, step: Callable[[], T], leaves: Callable[[], bool] = lambda: False
) -> T:
    """Repeat a step while the store is out of reach, or others were quicker.

    Args:
        leaves: asked when that has lasted: whether to leave instead of waiting.

    Raises:
        Away: it leaves.
    """
    pauses, is_first, began = Backoff(*RETRY_SECONDS), True, clock.monotonic()
    while True:
        try:
            return step()
        except Exception as error:
            if not job.input.store.is_transient(error):
                raise
            if clock.monotonic() - began >= PATIENCE and leaves():
                raise Away(error) from error
            if not is_first:
                log.warning("cannot reach the store", error=str(error))
        is_first = False
        time.sleep(pauses.next())
