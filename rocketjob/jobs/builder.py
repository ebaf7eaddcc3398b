"""`JobBuilder`: a job with arguments for `perform`, as `ReportJob.set(priority=5)` begins it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

import attrs

from rocketjob.base.off_loop import off_loop
from rocketjob.jobs.arguments import check_arguments


class Buildable(Protocol):
    """What a builder needs of a job."""

    arguments: dict[str, Any] | None

    @classmethod
    def check_class(cls) -> None: ...

    def submit(self) -> Self: ...

    def perform_now(self) -> Any: ...


J = TypeVar("J", bound=Buildable)


@attrs.frozen
class JobBuilder(Generic[J]):
    """Fields for a job that gets its arguments by `perform_later` or `perform_now`."""

    job_class: type[J]
    values: Mapping[str, Any]

    def set(self, **fields: Any) -> JobBuilder[J]:
        """Return a builder with more fields."""
        return JobBuilder(self.job_class, {**self.values, **fields})

    def perform_later(self, *args: Any, **kwargs: Any) -> J:
        """Store a job that will call `perform` with these arguments; return the job."""
        return self.build(*args, **kwargs).submit()

    async def perform_later_async(self, *args: Any, **kwargs: Any) -> J:
        """Do the same in a coroutine, and let its event loop go on."""
        return await off_loop(self.perform_later, *args, **kwargs)

    def perform_now(self, *args: Any, **kwargs: Any) -> Any:
        """Run the job here and now; return what perform returned."""
        return self.build(*args, **kwargs).perform_now()

    def build(self, *args: Any, **kwargs: Any) -> J:
        """Return the job, not stored yet.

        Raises:
            TypeError: an unknown field, or perform does not take these arguments, or not of these
                types.
            NotImplementedError: the class has no perform.
        """
        self.job_class.check_class()
        job = self.job_class(**self.values)
        check_arguments(self.job_class, args, kwargs)
        if args or kwargs:
            job.arguments = {"args": list(args), "kwargs": kwargs}
        return job
