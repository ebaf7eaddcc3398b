"""`UnknownJob`: what stands in for a job that cannot be loaded as what it is.

It is a job itself, so `Job` does not import it: this module gives it to `Job` when it is imported,
as `import rocketjob` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rocketjob.base.errors import UnknownJobClass
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.job import Job
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import record_of
from rocketjob.store import Stored


class UnknownJob(Job):
    """Stands in for a job that cannot be loaded here: it can be listed, aborted, destroyed.

    Its class is not loaded here, or raises when it is given what is stored.
    """

    if TYPE_CHECKING:
        error: Exception | None = read_only_field()
    else:
        error: ClassVar[Any] = None  # what its class raised, if it is loaded here

    @classmethod
    def of(cls, stored: Stored, error: Exception) -> UnknownJob:
        """Return the stand-in for a job whose class raised this error."""
        job = cls._made_of(stored, strict=False)
        job.error = error
        return job

    @property
    def class_name(self) -> str:
        """The name of the class that it was stored with."""
        return str((record_of(self).stored or {}).get("_type", "?"))

    @property
    def problem(self) -> str:
        """Why it is not an instance of its own class, in words."""
        if self.error is not None:
            return f"{type(self.error).__name__}: {message_of(self.error)}"
        return f"its class {self.class_name} is not loaded here"

    def __repr__(self) -> str:
        why = f": {self.problem}" if self.error is not None else ""
        return f"<UnknownJob {self.class_name} {self.id} {self.state}{why}>"

    def forbids(self, event: str) -> str | None:
        if event in ("abort", "pause", "fail", "requeue"):
            return None
        return self.problem

    def perform_now(self) -> Any:
        return self.perform()

    def perform(self, *args: Any, **kwargs: Any) -> Any:
        if self.error is not None:
            raise self.error
        raise UnknownJobClass(
            f"The class {self.class_name} is not loaded here: import its module, or name it in app"
        )


Job.__stand_in__ = UnknownJob
