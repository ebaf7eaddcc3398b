"""`UnknownJob`: what stands in for a job that cannot be loaded as what it is."""

from __future__ import annotations

from typing import Any

from rocketjob.base.errors import UnknownJobClass
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.job import Job
from rocketjob.store import Stored


class UnknownJob(Job):
    """Stands in for a job that cannot be loaded here: it can be listed, aborted, destroyed.

    Its class is not loaded here, or raises when it is given what is stored.
    """

    @classmethod
    def of(cls, stored: Stored, error: Exception) -> UnknownJob:
        """Return the stand-in for a job whose class raised this error."""
        job = cls.__new__(cls)
        job._load(stored, strict=False)
        job.__dict__["_error"] = error
        return job

    def _load(self, stored: Stored, strict: bool = True) -> None:
        super()._load(stored, strict)
        self.__dict__["_unknown_name"] = stored.get("_type", "?")

    @property
    def class_name(self) -> str:
        """The name of the class that it was stored with."""
        return str(self.__dict__.get("_unknown_name", "?"))

    @property
    def error(self) -> Exception | None:
        """What its class raised; None where the class is not loaded here."""
        found: Exception | None = self.__dict__.get("_error")
        return found

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
