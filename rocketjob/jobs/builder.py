"""`JobBuilder`: a job with arguments for `perform`, as `ReportJob.set(priority=5)` begins it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

J = TypeVar("J", bound="Job")


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

    def perform_now(self, *args: Any, **kwargs: Any) -> Any:
        """Run the job here and now; return what perform returned."""
        return self.build(*args, **kwargs).perform_now()

    def build(self, *args: Any, **kwargs: Any) -> J:
        """Return the job, not stored yet.

        Raises:
            TypeError: an unknown field, or perform does not take these arguments.
            NotImplementedError: the class has no perform.
        """
        self.job_class.check_perform()
        job = self.job_class(**self.values)
        _check_signature(self.job_class, args, kwargs)
        if args or kwargs:
            job.arguments = {"args": list(args), "kwargs": kwargs}
        return job


def _check_signature(cls: type[Job], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = cls.__dict__.get("__signature_of_perform__")
    if signature is None:
        signature = cls.__signature_of_perform__ = inspect.signature(cls.perform)
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        shown = re.sub(r"^\(self(, )?", "(", str(signature))
        raise TypeError(f"{cls.__name__}.perform{shown}: {error}") from None
