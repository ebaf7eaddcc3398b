"""The mixin `Cron`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

import pendulum

from rocketjob import Job, after, before, field, validate
from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.base.errors import HookFailed, ValidationError
from rocketjob.model.fields import left_out_if_empty, read_only_field
from rocketjob.model.record import record_of
from rocketjob_plugins.cron.schedule import CronError, CronSchedule
from rocketjob_plugins.cron.settings import TIME_ZONE
from rocketjob_plugins.restart import refuse_uncopied_fields

INDEX = "cron_key"
ACTIVE = ("queued", "running", "paused", "failed")
ENDED = ("completed", "failed", "aborted")
RUNS = "previous_runs"
RUNS_KEPT = 10


class Cron(Job, abstract=True):
    """Mixin: run a job on a schedule. See the package."""

    __example__: ClassVar[dict[str, Any]] = {"cron_schedule": "0 9 * * * UTC"}

    cron_schedule: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    cron_singleton: bool = field(default=True, user_editable=True, copy_on_restart=True)
    cron_after_start: bool = field(default=False, user_editable=True, copy_on_restart=True)
    cron_dst: Literal["safe", "literal"] = field(
        default="safe", user_editable=True, copy_on_restart=True
    )
    schedule_name: str | None = field(
        default=None, copy_on_restart=True, description="the schedule in code that made this job"
    )
    schedule_declared: dict[str, Any] | None = field(
        default=None, copy_on_restart=True, description="what the code declared when last synced"
    )
    occurrence: datetime | None = read_only_field()
    previous_runs: list[dict[str, Any]] = left_out_if_empty(read_only_field(factory=list))
    cron_key: str | None = read_only_field()

    def schedule(self) -> CronSchedule:
        """Return the parsed schedule.

        Raises:
            CronError: there is none, or it is not valid.
        """
        zone = TIME_ZONE.of(current().config)
        return CronSchedule(self.cron_schedule or "", dst=self.cron_dst, time_zone=zone)

    def next_occurrence(self) -> pendulum.DateTime:
        """Return the next time of the schedule, strictly after now.

        Raises:
            CronError: there is no schedule, or it is not valid.
        """
        return self.schedule().next_time(clock.now())

    @property
    def scheduled_at(self) -> datetime:
        """The occurrence that this run is for: neither a retry nor `run_now` moves it."""
        return self.occurrence or super().scheduled_at

    # --- validation --------------------------------------------------------------------------

    @validate
    def _cron_schedule_is_valid(self) -> None:
        if not isinstance(self.cron_schedule, str):
            return
        try:
            self.next_occurrence()
        except CronError as error:
            if error.field != "dst":  # the field's own type says that
                text = f'Invalid cron_schedule: "{self.cron_schedule}": {error.why}'
                self.errors.add("cron_schedule", text)
        refuse_uncopied_fields(self)

    @validate
    def _cron_is_single(self) -> None:
        keys = self._cron_keys()
        if not keys or self.state not in ACTIVE or self.stored_value(INDEX) in keys:
            return
        active = {INDEX: {"$in": keys}, "state": {"$in": list(ACTIVE)}, "_id": {"$ne": self.id}}
        if type(self).where(active).exists():
            self.errors.add("cron_schedule", self._another_of_the_series(), conflict=True)

    def duplicate_key_errors(self, details: Mapping[str, Any]) -> dict[str, list[str]]:
        if INDEX in details.get("keyPattern", {}):
            return {"cron_schedule": [self._another_of_the_series()]}
        return super().duplicate_key_errors(details)

    def unique_keys(self) -> dict[str, Any]:
        key = self._make_cron_key() if self.state in ACTIVE else None
        return {**super().unique_keys(), **({INDEX: key} if key else {})}

    def _make_cron_key(self) -> str | None:
        return next(iter(self._cron_keys()), None)

    def _cron_keys(self) -> list[str]:
        """Return the keys that instances of the series may have; new ones get the first."""
        if self.cron_schedule is None or not (self.cron_singleton or self.schedule_name):
            return []
        names = dict.fromkeys((type(self).key_name(), *type(self).stored_names()))
        if self.cron_singleton:
            return [f"{name}:{self.cron_schedule}" for name in names]
        # Two deploys may sync the same schedules at the same time.
        own = self.schedule_name in names  # it was not given one
        return [f"{name}#{name if own else self.schedule_name}" for name in names]

    def _another_of_the_series(self) -> str:
        likeness = "with the same schedule" if self.cron_singleton else f"as {self.schedule_name}"
        return (
            f"Another instance of {type(self).__name__} is already queued, running, paused or "
            f"failed {likeness}"
        )

    def plan_again(self) -> bool:
        if self.cron_schedule is None or self.run_at is None:
            return False
        if self.run_at != self.schedule().next_time(self.created_at):
            return False  # somebody has set the time
        if self.run_at <= (right := self.next_occurrence()):
            return False
        # Somebody may set the time, start the job or end it at the same moment: that holds.
        as_read = {"_id": self.id, "state": "queued"}
        as_read |= {"run_at": self.run_at, "cron_schedule": self.cron_schedule}
        planned = {"run_at": right, "occurrence": right}
        if not self.collection().update_one(as_read, {"$set": planned}).matched_count:
            return False
        self.run_at = self.occurrence = right
        record_of(self).written_apart(planned)
        return True

    # --- the series --------------------------------------------------------------------------

    def save(self, *, validate: bool = True) -> Self:
        """Continue the series where `abort(save=False)` or similar ended this run."""
        successor = self._successor() if self._ended_in_memory() else None
        if successor is None:
            return super().save(validate=validate)
        if validate:
            self.validate()
        schedule, self.cron_schedule = self.cron_schedule, None
        try:
            self.save_with(successor)
        except BaseException:
            self.cron_schedule = schedule
            raise
        return self

    @before("save")
    def _keep_schedule(self) -> None:
        """Keep `run_at`, the successor and the key in line with the schedule and the state."""
        if self.cron_schedule is not None:
            if self.state in ENDED:
                self._hand_over()
            elif not self.is_running and self._schedule_changed():
                self.run_at = self.occurrence = self.next_occurrence()
            elif self.is_queued and self.failure_count > self.stored_value("failure_count", 0):
                # Retry: wait no longer than until the run that would come anyway.
                self.run_at = min(self.run_at or clock.now(), self.next_occurrence())
            if self.occurrence is None:  # the first run, at a time that the user set
                self.occurrence = self.stored_value("run_at") or self.run_at
        self.cron_key = self._make_cron_key()

    def _hand_over(self) -> None:
        """Queue the next instance in the same write as this one's end, and drop the schedule."""
        if self.is_changing:
            successor = self._successor()
            if successor is not None:
                self.create_with(successor, amend=lambda: self._amend(successor))
        self.cron_schedule = None

    @after("start")
    def _hand_over_at_start(self) -> None:
        if not self.cron_after_start or self.cron_schedule is None or self.is_new:
            return
        if not self.is_running:
            return
        successor, schedule = self._successor(), self.cron_schedule
        self.cron_schedule = None
        try:
            self.save_with(successor)
        except (ValidationError, HookFailed) as error:
            # Another mixin allows one active instance, or a plugin none at all: the series
            # continues when this one ends.
            self.cron_schedule = schedule
            self.logger.info("the next run is queued when this one ends", reason=str(error))

    def _successor(self) -> Self | None:
        """Return the next instance, with edits made while this one ran; None ends the series."""
        if self.is_expired:
            return None
        edited = self.edits_by_others()
        successor = self.restarted(**edited)
        if successor.cron_schedule is None:
            return None
        successor.run_at = successor.occurrence = successor.next_occurrence()
        successor.previous_runs = self._runs_until_now()
        return successor

    def _runs_until_now(self) -> list[dict[str, Any]]:
        """Return the last runs of the series, this one among them if it has ended."""
        known: Any = self.previous_runs
        runs = list(known) if isinstance(known, list) else []
        if self.state in ENDED:
            run = {
                "id": self.id,
                "state": self.state,
                "occurrence": self.occurrence,
                "started_at": self.started_at,
                "ended_at": self.completed_at,
            }
            runs.append({key: value for key, value in run.items() if value is not None})
        return runs[-RUNS_KEPT:]

    def _amend(self, successor: Self) -> bool:
        """Copy edits made since the successor was built; return whether to store it."""
        edited = self.edits_by_others()
        late = {k: v for k, v in edited.items() if getattr(successor, k) != v}
        for name, value in late.items():
            setattr(successor, name, value)
        if successor.cron_schedule is None:
            return False
        if "cron_schedule" in late or "cron_dst" in late:
            successor.run_at = successor.occurrence = successor.next_occurrence()
        successor.cron_key = successor._make_cron_key()
        return True

    def _schedule_changed(self) -> bool:
        """Return whether `run_at` should follow the schedule; one that the user set stays."""
        if self.is_new:
            return self.run_at is None
        names = ("cron_schedule", "cron_dst")
        same = all(self.stored_value(name) == getattr(self, name) for name in names)
        return not same and self.stored_value("run_at") == self.run_at

    def _ended_in_memory(self) -> bool:
        return (
            not self.is_new
            and not self.is_changing
            and self.cron_schedule is not None
            and self.state in ENDED
            and self.stored_value("state") not in ENDED
        )
