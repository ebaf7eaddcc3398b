"""Draining: a server starts nothing more, and ends by itself once it is at rest.

That it is to do so stands in its document, so it survives whoever has asked for it, and everybody
sees it. `Server.resume` ends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import RocketJobError
from rocketjob.base.log import Logger
from rocketjob.queue.reclaim import holds_nothing
from rocketjob.server.server import Server
from rocketjob.store import context

log = Logger("rocketjob.supervisor")
LOOK_SECONDS = 1.0
KEYS = ("draining_at", "drain_seconds")


def is_at_rest(server: Server) -> bool:
    """Return whether a server is known to hold nothing: no job, and no slice of one."""
    current = context.current()
    return holds_nothing(current.store, current.plugins, server.incarnation)


class Drain:
    """What a supervisor knows of the draining of its own server.

    Args:
        performing: says what its processes perform, which is known without any store.
    """

    def __init__(self, server: Server, performing: Callable[[], Sequence[str]]) -> None:
        self._server, self._performing = server, performing
        self._asked_at: datetime | None = None
        self._began = self._next = 0.0
        self._rested = False

    def look(self, stored: Mapping[str, Any]) -> None:
        """End the server if it is at rest, or its time is up; called while it is paused.

        Args:
            stored: what is stored of it.
        """
        now = clock.elapsed()
        if stored.get("draining_at") != self._asked_at:
            self._asked_at, self._began, self._rested = stored.get("draining_at"), now, False
            self._next = now
        if self._asked_at is None or now < self._next:
            return
        self._next = now + LOOK_SECONDS
        seconds = stored.get("drain_seconds")
        # By the clock of this server alone: that of who has asked may differ.
        is_up = isinstance(seconds, int | float) and now - self._began >= seconds
        # Twice: a process may have claimed something before it heard that it is paused.
        rested, self._rested = self._rested, self._is_at_rest()
        if is_up or (rested and self._rested):
            self._end(is_up and not self._rested)

    def _is_at_rest(self) -> bool:
        return not self._performing() and is_at_rest(self._server)

    def _end(self, is_cut_short: bool) -> None:
        with contextlib.suppress(RocketJobError):  # it was resumed, or stopped, this moment
            self._server.drained()
            said = "the time to drain it is up" if is_cut_short else "drained"
            log.info(said, name=self._server.name)
