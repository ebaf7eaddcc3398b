"""Try a failed job again, each time a little later.

    class ImportOrders(Retry, Job):
        retry_limit = 5
        retry_on = (ConnectionError,)

Fields: `retry_limit` (25; 0 switches retries off), `failed_at_list` (when each attempt failed).
Class attributes: `retry_on` (only these errors; all if not set), `retry_jitter` (a share of the
delay that is added at random, 0.0).

The delay after attempt n is `n**4 + 5` seconds: 6 s, 21 s, 86 s, 261 s, and so on, 25 attempts in
about 25 days. Override `retry_delay` for another. The failure and the retry are one write: a job
that is retried is never stored as failed. Its exception stays visible until it succeeds, and every
attempt is in `job.history`. A job that has expired, or is no longer valid, is not retried.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, ClassVar

from rocketjob import Job, before, clock, field, hookimpl, validators
from rocketjob.errors import ConfigurationError


class Retry(Job, abstract=True):
    """Mixin: see the module."""

    retry_on: ClassVar[tuple[type[BaseException], ...] | None] = None
    retry_jitter: ClassVar[float] = 0.0

    retry_limit: int = field(
        default=25, validator=validators.ge(0), user_editable=True, copy_on_restart=True
    )
    failed_at_list: list[datetime] = field(factory=list)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not 0 <= cls.retry_jitter <= 1:
            raise ConfigurationError(f"{cls.__name__}.retry_jitter must be from 0 to 1")

    @property
    def retry_count(self) -> int:
        """How many failures were retried."""
        return len(self.failed_at_list)

    def retry_delay(self, attempt: int) -> timedelta | float:
        """Return how long to wait after a failed attempt, numbered from 1; a number is seconds."""
        return attempt**4 + 5

    @before("fail")
    def _retry_after_failure(self) -> None:
        if not self._may_be_retried():
            return
        attempt = self.retry_count + 1
        delay = self.retry_delay(attempt)
        if not isinstance(delay, timedelta):
            delay = timedelta(seconds=delay)
        delay += delay * random.uniform(0, self.retry_jitter)
        self.failed_at_list = [*self.failed_at_list, clock.now()]
        self.run_at = clock.now() + delay
        self.logger.info("will be retried", attempt=attempt, run_at=self.run_at)
        self.follow_with("retry", keep_exception=True)

    def _may_be_retried(self) -> bool:
        if self.retry_count >= self.retry_limit or self.is_expired:
            return False
        reason = self.failing_with
        if self.retry_on is not None and not isinstance(reason, self.retry_on):
            return False
        if not self.is_valid():
            self.logger.warning("not retried: the job is not valid", errors=dict(self.errors))
            return False
        return True


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Retry]
