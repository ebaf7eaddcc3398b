"""The mixin `Cron`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pendulum

from rocketjob import Job, after, before, clock, field, validate
from rocketjob.application import current
from rocketjob.errors import ValidationError
from rocketjob.fields import read_only_field
from rocketjob_plugins.cron.schedule import CronError, CronSchedule

INDEX = "cron_key"
ENDED = ("completed", "failed", "aborted")
ACTIVE = ("queued", "running", "paused", "failed")


class Cron(Job, abstract=True):
    """Mixin: run a job on a schedule. See the package."""

    cron_schedule: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    cron_singleton: bool = field(default=True, user_editable=True, copy_on_restart=True)
    cron_after_start: bool = field(default=False, user_editable=True, copy_on_restart=True)
    cron_dst: Literal["safe", "literal"] = field(
        default="safe", user_editable=True, copy_on_restart=True
    )
    cron_key: str | None = read_only_field()

    def next_occurrence(self) -> pendulum.DateTime:
        """Return the next time of the schedule, strictly after now.

        Raises:
            CronError: the schedule is not valid.
        """
        zone = current().config.time_zone
        schedule = CronSchedule(self.cron_schedule or "", dst=self.cron_dst, time_zone=zone)
        return schedule.next_time(clock.now())

    @validate
    def _cron_schedule_is_valid(self) -> None:
        if self.cron_schedule is None or not isinstance(self.cron_schedule, str):
            return
        try:
            self.next_occurrence()
        except CronError as error:
            self.errors.add("cron_schedule", f'Invalid cron_schedule: "{self.cron_schedule}": {error}')

    @validate
    def _cron_is_single(self) -> None:
        key = self._make_cron_key()
        if key is None or (self._stored or {}).get(INDEX) == key:
            return
        if type(self).where({INDEX: key, "_id": {"$ne": self.id}}).exists():
            self.errors.add("cron_schedule", self._another())

    @before("save")
    def _keep_schedule(self) -> None:
        """Bring `run_at`, the successor and the key into line with schedule and state."""
        if self.cron_schedule is not None:
            if self.state in ENDED:
                self._hand_over()
            elif self._schedule_changed():
                self.run_at = self.next_occurrence()
            elif self.is_queued and self.failure_count and self._is_being_retried():
                self.run_at = min(self.run_at or clock.now(), self.next_occurrence())
        key = self._make_cron_key()
        if key != self.cron_key:
            self.cron_key = key

    def _schedule_changed(self) -> bool:
        """Tell whether `run_at` is to follow the schedule; one that was given by hand stays."""
        stored = self._stored
        if stored is None:
            return self.run_at is None
        same = all(stored.get(n) == self.__dict__[n] for n in ("cron_schedule", "cron_dst"))
        return not same and stored.get("run_at") == self.run_at

    def _is_being_retried(self) -> bool:
        return (self._stored or {}).get("failure_count", 0) != self.failure_count

    def _hand_over(self) -> None:
        """Queue the next instance, in the same step as this one's end, and run no more."""
        schedule, change = self.cron_schedule, self.__dict__.get("_change")
        if change is not None and not self.is_expired:
            self.create_with(self.restarted(run_at=self.next_occurrence()))
        self.cron_schedule = None
        self.logger.debug("schedule handed over", cron_schedule=schedule)

    @after("start")
    def _hand_over_at_start(self) -> None:
        if not self.cron_after_start or self.cron_schedule is None or not self.is_running:
            return
        successor = None if self.is_expired else self.restarted(run_at=self.next_occurrence())
        schedule, self.cron_schedule = self.cron_schedule, None
        try:
            self.save_with(successor)
        except ValidationError as error:
            # A rule of another mixin allows one active instance: the series goes on at the end.
            self.cron_schedule = schedule
            self.logger.info("the next run is queued when this one ends", reason=str(error))

    def _make_cron_key(self) -> str | None:
        if self.cron_schedule is None or not self.cron_singleton or self.state not in ACTIVE:
            return None
        return f"{type(self).type_name()}:{self.cron_schedule}"

    def _another(self) -> str:
        return (
            f"Another instance of {type(self).__name__} is already queued, running, paused or "
            "failed with the same schedule"
        )

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]:
        if INDEX in details.get("keyPattern", {}):
            return {"cron_schedule": [self._another()]}
        return super().duplicate_key_errors(details)
