"""Rows of the lists of jobs: what is read of each job, and what is shown of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from rocketjob import Job
from rocketjob.jobs.reasons import Reason
from rocketjob.jobs.shown import class_name, load, problem_of
from rocketjob.model.record import record_of
from rocketjob.store import Stored
from rocketjob_contrib.mission_control.jobs.actions import IN_ROW, Action, actions_for
from rocketjob_contrib.mission_control.jobs.finding import BUILT_IN
from rocketjob_contrib.mission_control.jobs.progress import Progress, progress_of
from rocketjob_contrib.mission_control.jobs.tabs import JobTab

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

ALWAYS = (
    "_type",
    "state",
    "sub_state",
    "description",
    "priority",
    "created_at",
    "started_at",
    "run_at",
    "worker_name",
    "held_by",
    "login",
)
"""What is read of a job for each list: its state, and what decides which actions it allows."""


def fields_of(tab: JobTab) -> dict[str, int]:
    """Return which fields are read for a list: no more than it needs."""
    return dict.fromkeys(("_id", *ALWAYS, *tab.fields), 1)


@attrs.frozen
class Row:
    """One job in a list.

    Attributes:
        waits: why, where the list says so.
    """

    job: Job
    stored: Stored
    now: datetime
    progress: Progress
    actions: tuple[Action, ...]
    waits: Reason | None = None

    @property
    def id(self) -> str:
        return str(self.job.id)

    @property
    def class_name(self) -> str:
        return class_name(self.job)

    @property
    def icon(self) -> str:
        """Return the state as it is shown: a job that waits for its time, or for a worker, too."""
        return shown_state(self.job, self.progress)

    @property
    def problem(self) -> str | None:
        """What is wrong with the document."""
        return problem_of(self.job)

    @property
    def record_count(self) -> int:
        """Return how many records are stored; 0 where that is not known."""
        count = self.stored.get("record_count")
        return count if isinstance(count, int) else 0

    def text(self, name: str) -> str | None:
        """Return a text as it is stored; None where the job has none of this name."""
        value = self.stored.get(name)
        return value if isinstance(value, str) else None

    @property
    def seconds(self) -> float:
        """How long it ran; or runs, or waits, until now."""
        begin = self.job.started_at or self.job.created_at
        end = self.job.completed_at or self.now
        return max(0.0, (end - begin).total_seconds())

    @property
    def queued_seconds(self) -> float:
        """How long it has been waiting, from when it was due."""
        begin = max(self.job.created_at, self.job.run_at or self.job.created_at)
        return max(0.0, (self.now - begin).total_seconds())


def rows_of(view: View, documents: Iterable[Stored]) -> list[Row]:
    """Return the rows of stored jobs."""
    rows = []
    for stored in documents:
        job = load(stored, read=stored, relied_on=BUILT_IN)
        actions = tuple(actions_for(view, job, IN_ROW))
        kept = dict(record_of(job).stored or stored)
        rows.append(Row(job, kept, view.now, progress_of(view, job), actions))
    return rows


def shown_state(job: Job, progress: Progress) -> str:
    """Return the state of a job as it is shown: `scheduled` and `sleeping` are stored as others."""
    if job.is_scheduled:
        return "scheduled"
    return "sleeping" if job.is_running and progress.workers == 0 else job.state
