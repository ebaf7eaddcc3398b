"""Start a job only during certain hours.

    class BusinessHoursJob(ProcessingWindow, Job):
        processing_schedule = "30 8 * * * America/New_York"    # when each window opens
        processing_duration = timedelta(hours=12)              # how long it stays open

A window includes the instant at which it opens, but not the one at which it closes. A job that is
created or retried for a time outside any window gets the next opening as its `run_at`. A job that
would start outside a window is queued again for the next one. Work that has started is not
interrupted. Both fields are required, editable, and copied on restart.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pendulum

from rocketjob import Job, after, before, field, hookimpl, only_for, validate
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.settings import Setting
from rocketjob.jobs.reasons import Reason
from rocketjob_plugins.cron import CronError, CronSchedule
from rocketjob_plugins.cron.settings import TIME_ZONE

TICK = timedelta(microseconds=1)


class ProcessingWindow(Job, abstract=True):
    """Mixin: see the module."""

    __example__: ClassVar[dict[str, Any]] = {
        "processing_schedule": "0 0 * * * UTC",
        "processing_duration": timedelta(days=1),
    }

    if TYPE_CHECKING:  # that a class may give them by a plain assignment, as most do
        processing_schedule: str = field(default=cast(Any, None))
        processing_duration: timedelta = field(default=cast(Any, None))
    else:
        processing_schedule: str = field(user_editable=True, copy_on_restart=True)
        processing_duration: timedelta = field(user_editable=True, copy_on_restart=True)

    def is_window_open(self, at: datetime | None = None) -> bool:
        """Return whether a window is open at a time; by default, now."""
        at = at or clock.now()
        opened = self._windows().previous_time(at + TICK)  # it may open at this very instant
        return at < opened + self.processing_duration

    def next_window(self, at: datetime | None = None) -> pendulum.DateTime:
        """Return when the next window opens after a time; by default, now."""
        return self._windows().next_time(at or clock.now())

    def _windows(self) -> CronSchedule:
        return default_schedule(self.processing_schedule)

    @before("create", "retry")
    def _wait_for_window(self) -> None:
        at = max(self.run_at or clock.now(), clock.now())
        if not self.is_running and not self.is_window_open(at):
            self.run_at = self.next_window(at)

    # A job that a server claimed is running before the first callback, so requeueing it there skips
    # everything else that follows a start. Inline, it becomes running between the two callbacks.
    @before("start")
    @after("start")
    def _requeue_outside_window(self) -> None:
        if self.is_running and not self.is_window_open():
            self.run_at = self.next_window()
            self.logger.info("queued again: outside its window", run_at=self.run_at)
            self.requeue(reason="outside its processing window")

    @validate
    def _window_is_valid(self) -> None:
        if "processing_schedule" in self.errors or "processing_duration" in self.errors:
            return  # already reported
        if self.processing_duration <= timedelta(0):
            self.errors.add("processing_duration", "must be longer than 0, such as 12 hours")
            return
        try:
            self._windows().next_time(clock.now())
            period = shortest_period(self.processing_schedule)
        except CronError as error:
            text = f'Invalid processing_schedule: "{self.processing_schedule}": {error}'
            self.errors.add("processing_schedule", text)
            return
        if self.processing_duration > period:
            self.errors.add(
                "processing_duration",
                f"must not be longer than the {pendulum.duration(seconds=period.total_seconds())} "
                "from one window to the next",
            )


def default_schedule(expression: str) -> CronSchedule:
    """Return a schedule, in the configured time zone unless it names one."""
    return CronSchedule(expression, time_zone=TIME_ZONE.of(current().config))


@lru_cache(maxsize=1000)
def shortest_period(expression: str) -> timedelta:
    """Return the shortest time between two of the schedule's next 60 runs, on a plain calendar.

    It is computed in UTC from a fixed day, so that what is valid in summer is valid in winter.
    """
    fields = expression.split()
    without_zone = fields[: 1 if fields[0].startswith("@") else 5]
    times = CronSchedule(" ".join(without_zone)).next_times(datetime(2024, 1, 1, tzinfo=UTC), 60)
    return min(later - earlier for earlier, later in pairwise(times))


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [TIME_ZONE]  # the cron plugin registers it too, but may be disabled


@hookimpl
@only_for(ProcessingWindow)
def explain(job: ProcessingWindow) -> list[Reason]:
    if not job.is_queued or job.is_window_open():
        return []
    opens = job.next_window()
    text = f"its processing window ({job._windows().describe()}) is closed"
    return [Reason("processing_window", text, opens)]


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [ProcessingWindow]
