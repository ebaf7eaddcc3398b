"""What was counted since somebody began to look: numbers that only grow, as exporters need them."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from rocketjob.application import current
from rocketjob.base import clock
from rocketjob_plugins.metrics import collections, recorder
from rocketjob_plugins.metrics.collections import MINUTE, MINUTES, Counts

OPEN = recorder.LATE + 5 * MINUTE  # a minute to which nothing more is added is older than this
AHEAD = timedelta(hours=1)  # of a process whose clock is ahead


class Totals:
    """What all processes have counted since this object was made.

    Each look reads the last 25 minutes, in one call of the store; older ones are kept as a sum.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = self._edge()
        self._settled = Counts()
        for _, counts in self._minutes():
            self._settled.merge(counts, -1)

    def now(self) -> Counts:
        """Return what was counted by now.

        Raises:
            Exception: the store is out of reach.
        """
        with self._lock:
            total, edge, settled = Counts(), self._edge(), Counts()
            for at, counts in self._minutes():
                (settled if at < edge else total).merge(counts)
            self._settled.merge(settled)
            self._since = max(self._since, edge)
            total.merge(self._settled)
            return total

    def _edge(self) -> datetime:
        edge: datetime = clock.now() - OPEN
        return edge.replace(second=0, microsecond=0)

    def _minutes(self) -> list[tuple[datetime, Counts]]:
        store = current().store
        if (mine := recorder.present()) is not None:
            mine.write()
        found = collections.between(store, MINUTES, self._since, clock.now() + AHEAD)
        return [(each["_id"], Counts.load(each)) for each in found]
