"""Retry a failed job, waiting a little longer each time.

    class ImportOrders(Retry, Job):
        retry_limit = 5
        retry_on = (ConnectionError,)

Fields: `retry_limit` (25; 0 switches retries off), `failed_at_list` (when each attempt failed).
Class attributes: `retry_on` (only these errors; by default all), `discard_on` (after these the job
is aborted), `retry_jitter` (the share of the delay that is added at random, 0.0).

The delay after attempt n is `n**4 + 5` seconds: 6 s, 21 s, 86 s, 261 s and so on, or 25 attempts in
about 25 days. Override `retry_delay` to change it for a class; a plugin does so for any class that
does not, with the hook `backoff`. The failure and the retry are one write: a job
that is retried is never stored as failed. Its exception stays visible until it succeeds, and every
attempt is in `job.history`. A job that has expired, or is no longer valid, is not retried; nor is
one whose worker process crashed too often, unless `retry_on` names `WorkerCrashed`.

`raise RetryLater(timedelta(minutes=5))` in `perform` is a failed attempt that says itself when the
next one is, whatever `retry_on` names.

When the last attempt has failed, callbacks of the event `exhausted` run. A job that is retried by
hand gets all its attempts again.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, ClassVar

from rocketjob import (
    Job,
    WorkerCrashed,
    after,
    before,
    field,
    hookimpl,
    hookspec,
    only_for,
    validators,
)
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.clock import as_delay
from rocketjob.base.errors import ConfigurationError, RocketJobError
from rocketjob.jobs.reasons import Reason
from rocketjob.plugins.answers import answer

LONGEST = timedelta(days=365)


class RetryLater(RocketJobError):
    """The attempt has failed, and the next one is to be made after this delay.

    Args:
        delay: a number is seconds.
        reason: what was wrong.

    Raises:
        ValueError: the delay is negative or not a duration.
    """

    def __init__(self, delay: timedelta | float, reason: str | None = None) -> None:
        self.delay = as_delay(delay)
        super().__init__(reason or f"to be tried again after {self.delay}")


class Retry(Job, abstract=True):
    """Mixin: see the module."""

    callback_events: ClassVar[frozenset[str]] = frozenset({"exhausted"})
    retry_on: ClassVar[tuple[type[BaseException], ...] | None] = None
    discard_on: ClassVar[tuple[type[BaseException], ...]] = ()
    retry_jitter: ClassVar[float] = 0.0

    retry_limit: int = field(
        default=25,
        validator=validators.ge(0),
        user_editable=True,
        copy_on_restart=True,
        description="how often a failed job is retried; 0 for never",
    )
    failed_at_list: list[datetime] = field(factory=list)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        jitter = cls.retry_jitter
        if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter <= 1:
            raise ConfigurationError(
                f"{cls.__name__}.retry_jitter must be a number from 0 to 1, not {jitter!r}"
            )
        for name, errors in (("retry_on", cls.retry_on or ()), ("discard_on", cls.discard_on)):
            if not (isinstance(errors, tuple) and all(map(_is_error, errors))):
                raise ConfigurationError(
                    f"{cls.__name__}.{name} must be a tuple of exception classes, such as "
                    f"(ConnectionError,), not {errors!r}"
                )

    @property
    def retry_count(self) -> int:
        """How many failures have been retried."""
        return len(self.failed_at_list)

    def retry_delay(self, attempt: int) -> timedelta | float:
        """Return how long to wait after a failed attempt, numbered from 1; a number is seconds.

        A class may override it: `failing_with` is the error. Else the plugins are asked.
        """
        plugins = current().plugins
        if plugins.listens("backoff", type(self)):
            arguments = {"job": self, "attempt": attempt, "exception": self.failing_with}
            answer = plugins.decide("backoff", plugins.note, **arguments)
            if answer is not None:
                return answer.value  # type: ignore[no-any-return]
        return attempt**4 + 5

    @before("fail")
    def _retry_after_failure(self) -> None:
        error = self.failing_with
        if isinstance(error, self.discard_on):
            self.follow_with("abort", reason=f"{type(error).__name__} is named in discard_on")
            return
        if not self._may_be_retried():
            return
        attempt, now = self.retry_count + 1, clock.now()
        self.run_at = now + self._delay(attempt)
        self.failed_at_list = [*self.failed_at_list, now]
        self.follow_with("retry", keep_exception=True)

    @after("fail")
    def _say_that_attempts_are_used_up(self) -> None:
        if self.is_failed and self.retry_limit and self.retry_count >= self.retry_limit:
            self.chain("exhausted").run(self, lambda: None)

    @before("retry")
    def _begin_again(self) -> None:
        """Give a job that is retried by hand all its attempts; our own retry never gets here."""
        if self.stored_value("state") == "failed":
            self.failed_at_list = []

    def _delay(self, attempt: int) -> timedelta:
        error = self.failing_with
        if isinstance(error, RetryLater):
            return min(error.delay, LONGEST)
        delay = self.retry_delay(attempt)
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        seconds *= 1 + random.uniform(0, self.retry_jitter)
        return timedelta(seconds=max(0.0, min(seconds, LONGEST.total_seconds())))

    def _may_be_retried(self) -> bool:
        if self.retry_count >= self.retry_limit or self.is_expired:
            return False
        kinds, reason = self.retry_on, self.failing_with
        if isinstance(reason, RetryLater):
            kinds = (RetryLater,)
        if isinstance(reason, WorkerCrashed) if kinds is None else not isinstance(reason, kinds):
            return False
        if not self.is_valid():
            self.logger.warning("not retried: the job is not valid", errors=dict(self.errors))
            return False
        return True


def _is_pause(value: Any) -> bool:
    if isinstance(value, timedelta):
        return value >= timedelta(0)
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    )


class RetryHooks:
    """The hook that this plugin brings."""

    @hookspec(firstresult=True)
    @answer("a timedelta or a number of seconds, not negative, or None", _is_pause)
    def backoff(
        self, job: Retry, attempt: int, exception: BaseException | str | None
    ) -> timedelta | float | None:
        """Say how long a job with the mixin Retry waits before it is tried again.

        Called before a failure is stored that will be retried, in the process and on the thread
        that fails the job; for classes that do not override `retry_delay` themselves. The first
        answer that is not None counts; `retry_jitter` is added to it, and a year is the longest. Of
        a plugin that fails, which `doctor` names, nothing counts.

        Args:
            attempt: which one has failed, from 1.
            exception: what perform raised, or the reason in words.
        """


def _is_error(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


@hookimpl
@only_for(Retry)
def explain(job: Retry) -> list[Reason]:
    if not job.is_scheduled or job.exception is None:
        return []
    text = (
        f"attempt {job.retry_count} of {job.retry_limit + 1} failed: "
        f"{job.exception.class_name}: {job.exception.message}"
    )
    return [Reason("retry", text, job.run_at)]


@hookimpl
def register_hookspecs(manager: Any) -> None:
    manager.add_hookspecs(RetryHooks)


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Retry]
