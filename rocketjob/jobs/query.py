"""`JobQuery`: what `Job.where` and the scopes return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from rocketjob.base import clock
from rocketjob.model.query import Query

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

J = TypeVar("J", bound="Job")


class JobQuery(Query[J]):
    """A query of jobs, with a scope for each state."""

    def queued(self) -> Self:
        """Narrow to jobs that wait, scheduled ones included."""
        return self.where({"state": "queued"})

    def running(self) -> Self:
        return self.where({"state": "running"})

    def completed(self) -> Self:
        return self.where({"state": "completed"})

    def failed(self) -> Self:
        return self.where({"state": "failed"})

    def paused(self) -> Self:
        return self.where({"state": "paused"})

    def aborted(self) -> Self:
        return self.where({"state": "aborted"})

    def scheduled(self) -> Self:
        """Narrow to queued jobs whose time has not come."""
        return self.queued().where({"run_at": {"$gt": clock.now()}})

    def queued_now(self) -> Self:
        """Narrow to queued jobs that could start now."""
        return self.queued().where({"$or": [{"run_at": None}, {"run_at": {"$lte": clock.now()}}]})
