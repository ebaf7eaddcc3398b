"""The time zone of schedules that do not name one."""

from __future__ import annotations

from rocketjob.base.settings import Setting, time_zone

TIME_ZONE: Setting[str] = Setting(
    "time_zone", "UTC", time_zone, "for cron schedules without a zone"
)
