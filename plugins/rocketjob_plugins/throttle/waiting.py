"""Shared by the mixins of this package: why a job waits, and since when."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from rocketjob import Job, before
from rocketjob.model.fields import read_only_field


class Waiting(Job, abstract=True):
    """Stores on the job why it waits."""

    # The time stays: a throttle that is called only after the claim may defer it again.
    cleared_by_claim: ClassVar[tuple[str, ...]] = ("throttled_by",)

    throttled_by: str | None = read_only_field()
    throttled_since: datetime | None = read_only_field()

    def waiting_note(self, name: str, now: datetime) -> dict[str, Any]:
        if self.throttled_by == name:
            return {}
        return {"throttled_by": name, "throttled_since": self.throttled_since or now}

    @before("save")
    def _forget_why_it_waited(self) -> None:
        if self.throttled_since is not None and (self.throttled_by is None or not self.is_queued):
            self.throttled_by = self.throttled_since = None
