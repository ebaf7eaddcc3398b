"""Run a job on a schedule that is written as a cron expression."""

from rocketjob_plugins.cron.schedule import CronError, CronSchedule

__all__ = ["CronError", "CronSchedule"]
