"""The mixin `ThrottleDependentJobs`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from rocketjob import Job, UnknownJobClass, field, validate
from rocketjob.jobs.job import job_class
from rocketjob.jobs.limit import UNLIMITED, Limit
from rocketjob.model.registry import stored_names
from rocketjob.store import Store
from rocketjob_plugins.throttle.waiting import Waiting


class ThrottleDependentJobs(Waiting, abstract=True):
    """Mixin: wait while a job of one of `dependent_jobs`, names of classes, is running.

    class Later(ThrottleDependentJobs, Job):
        dependent_jobs = ["FirstJob", "SecondJob"]
    """

    dependent_jobs: list[str] = field(default=[], user_editable=True, copy_on_restart=True)

    @classmethod
    def depends_on_job(cls, *classes: type[Job] | str) -> None:
        """Set the default of `dependent_jobs`, for this class and its later subclasses."""
        names = [other if isinstance(other, str) else other.type_name() for other in classes]
        cls.set_default("dependent_jobs", names)

    def claim_limits(self) -> list[Limit]:
        limits = super().claim_limits()
        if self.dependent_jobs:
            names = list(self.dependent_jobs)
            limits.append(
                DependentLimit(
                    name="dependent_jobs",
                    key="dependent:" + ",".join(names),
                    maximum=0,
                    counts={"_type": {"$in": [each for n in names for each in stored_names(n)]}},
                    blocks={"_type": type(self).stored_type(), "dependent_jobs": names},
                )
            )
        return limits

    @validate
    def _dependent_jobs_exist(self) -> None:
        if "dependent_jobs" in self.errors or self.dependent_jobs == self.stored_value(
            "dependent_jobs"
        ):
            return
        for name in self.dependent_jobs:
            try:
                job_class(name)
            except UnknownJobClass as error:
                self.errors.add("dependent_jobs", str(error))


@attrs.frozen(kw_only=True)
class DependentLimit(Limit):
    """No room while one of the other jobs runs, and no limit otherwise."""

    def free(self, store: Store, now: datetime, session: Any = None) -> int:
        return 0 if super().free(store, now, session) < 0 else UNLIMITED

    def take(self, store: Store, now: datetime, session: Any = None) -> None:
        """Take nothing: the others may start while this one runs."""

    def rule(self) -> str:
        return "jobs that it depends on are running"

    def describe(self, store: Store, now: datetime) -> str:
        return f"{self.rule()}: {self.holders(store)}"
