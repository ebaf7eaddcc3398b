"""Whether a stored job fits its class as it is now: asked once, before anything of it runs."""

from __future__ import annotations

from typing import Any

from rocketjob.base.errors import ValidationError
from rocketjob.jobs.arguments import check_arguments
from rocketjob.model.record import record_of
from rocketjob.model.renewal import newer_than
from rocketjob.model.validation import Check, Errors, checks_of, run_checks


def check_fits(job: Any) -> None:
    """Refuse a job whose stored document does not fit its class, as after a change of the code.

    Only what the class and its mixins declare is looked at: what every job has is written by us.

    Raises:
        ValidationError: names each field that has no value, one of the wrong type, or one that its
            validator refuses.
        TypeError: perform does not take the stored arguments.
    """
    if checks := _declared_checks(type(job)):
        errors = Errors()
        run_checks(job, checks, errors)
        if errors:
            raise ValidationError(errors, type(job).__name__)
    if job.arguments:
        check_arguments(type(job), tuple(job.arguments["args"]), job.arguments["kwargs"])


def refuse_newer(job: Any) -> None:
    """Refuse a job that newer code has stored: what it says is not known here.

    Raises:
        ValidationError: says which version it has.
    """
    newer = newer_than(type(job), record_of(job).stored or {})
    if newer is not None:
        raise ValidationError({"schema_version": [newer[0]]}, type(job).__name__)


def _declared_checks(cls: type[Any]) -> list[Check]:
    """Return the checks of what a class and its mixins declare; made once: every job comes here."""
    cached: list[Check] | None = cls.__dict__.get("__declared_checks__")
    if cached is None:
        everybody = cls.__mro__[_where_jobs_begin(cls)].__fields__  # type: ignore[attr-defined]
        declared = [f for name, f in cls.__fields__.items() if name not in everybody]
        cls.__declared_checks__ = cached = checks_of(cls, declared)
    return cached


def _where_jobs_begin(cls: type[Any]) -> int:
    """Return the place in the order of bases of the class that begins all jobs."""
    return max(i for i, base in enumerate(cls.__mro__) if "perform" in vars(base))
