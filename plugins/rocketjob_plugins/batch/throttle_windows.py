"""Process slices only in certain hours.

    class Nightly(ThrottleWindows, Batch, Job):
        primary_schedule = "0 22 * * * America/New_York"
        primary_duration = timedelta(hours=8)
        secondary_schedule = "0 0 * * Sat America/New_York"    # and all of the weekend
        secondary_duration = timedelta(hours=48)

Only slices are deferred; the job starts, and ends, at any time. Without a complete primary pair
nothing is deferred. A window is open from its first instant, and closed at the instant it ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rocketjob import Job, field, validate
from rocketjob.base import clock
from rocketjob_plugins.batch.batch import batch_throttle

TICK = timedelta(microseconds=1)


class ThrottleWindows(Job, abstract=True):
    """Mixin: see the module."""

    primary_schedule: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    primary_duration: timedelta | None = field(
        default=None, user_editable=True, copy_on_restart=True
    )
    secondary_schedule: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    secondary_duration: timedelta | None = field(
        default=None, user_editable=True, copy_on_restart=True
    )

    @batch_throttle
    def throttle_windows_exceeded(self) -> bool:
        """Its windows are closed."""
        now = clock.now()
        if not self.primary_schedule or not self.primary_duration:
            return False
        if _is_open(self.primary_schedule, self.primary_duration, now):
            return False
        if not self.secondary_schedule or not self.secondary_duration:
            return True
        return not _is_open(self.secondary_schedule, self.secondary_duration, now)

    @validate
    def _windows_are_valid(self) -> None:
        from rocketjob_plugins.cron import CronError  # for start-up time

        for name in ("primary_schedule", "secondary_schedule"):
            schedule = getattr(self, name)
            if isinstance(schedule, str):
                try:
                    _is_open(schedule, timedelta(0), clock.now())
                except CronError as error:
                    self.errors.add(name, str(error))


def _is_open(schedule: str, duration: timedelta, now: datetime) -> bool:
    from rocketjob_plugins.processing_window import default_schedule  # for start-up time

    return now < default_schedule(schedule).previous_time(now + TICK) + duration
