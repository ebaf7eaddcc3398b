"""The settings of the metrics, in the table `[metrics]`."""

from __future__ import annotations

from typing import Any

from rocketjob.base.settings import Setting, seconds, whole

WRITE_SECONDS = Setting(
    "write_seconds",
    5.0,
    seconds,
    "between two writes of what a process has counted",
    table="metrics",
)
MINUTES_DAYS = Setting(
    "minutes_days", 8, whole(1), "days for which minutes are kept", table="metrics"
)
HOURS_DAYS = Setting("hours_days", 90, whole(1), "days for which hours are kept", table="metrics")
SETTINGS: list[Setting[Any]] = [WRITE_SECONDS, MINUTES_DAYS, HOURS_DAYS]
