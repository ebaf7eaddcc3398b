"""Whether a claim is young enough for its job to be started.

Between the question to the store and the start of the job a process may have stood still, and
others may have taken the job over. So what was asked for more than a heartbeat ago is given back.
Where it is the store that takes so long, no claim would ever be young enough, and every job be
claimed and given back for ever: so more and more is allowed while nothing can be started. A job
that was taken over nevertheless ends with `ClaimLost`, as after any other standstill.
"""

from __future__ import annotations

from rocketjob.base import clock
from rocketjob.base.log import Logger

log = Logger("rocketjob.worker_pool")

LONGEST = 60.0  # seconds


class Freshness:
    """How old a claim may be; asked by several threads, to whom a little more or less is the same.

    Args:
        least: seconds that are always allowed.
    """

    def __init__(self, least: float) -> None:
        self.least = self.allowed = least
        self._last_refused = 0.0

    def allows(self, asked_at: float) -> bool:
        """Return whether the job may be started of a claim that was asked for then."""
        age = clock.monotonic() - asked_at
        if age <= self.allowed:
            # Twice as much as it takes now: of two like it the second is not to be given back.
            self.allowed = max(self.least, min(self.allowed, 2 * age))
            return True
        if asked_at > self._last_refused:  # once for a group
            self._last_refused = asked_at
            self.allowed = max(self.least, min(2 * self.allowed, LONGEST))
            log.warning(
                "given back: it took longer from the claim to the start than a heartbeat. Where "
                "that comes again and again the store is too slow, or the machine",
                seconds=round(age, 1),
            )
        return False
