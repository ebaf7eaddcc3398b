"""Shared by the mixins of this package: since when jobs wait."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rocketjob import Job, before
from rocketjob.model.fields import read_only_field


class Waiting(Job, abstract=True):
    """Stores on the job since when it waits, whatever it waited for on the way."""

    throttled_since: datetime | None = read_only_field()

    def waiting_note(self, name: str, now: datetime) -> dict[str, Any]:
        return {} if self.throttled_since else {"throttled_since": now}

    @before("save")
    def _forget_since_when_it_waited(self) -> None:
        if self.throttled_since is not None and (self.throttled_by is None or not self.is_queued):
            self.throttled_since = None
