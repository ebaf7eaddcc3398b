"""A job as JSON, with the same keys whatever its class and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import attrs

from rocketjob import Job, UnknownJob, application
from rocketjob.base.text import at
from rocketjob.jobs.exception import JobException
from rocketjob.model.encrypted_fields import HIDDEN, Sealed
from rocketjob.model.fields import Field
from rocketjob.model.query import Query
from rocketjob.model.record import values_of
from rocketjob.states.state import EventCommand
from rocketjob.store import Stored

if TYPE_CHECKING:
    from rocketjob.jobs.reasons import Reason, Remark

STANDARD = tuple(Job.fields())
NOT_LISTED = ("claimed_by", "claim_number")
COMMANDS = (
    EventCommand("retry", "Queue failed jobs again.", "retried"),
    EventCommand("abort", "Give jobs up for good.", "aborted"),
    EventCommand("pause", "Pause jobs until they are resumed.", "paused"),
    EventCommand("resume", "Resume paused jobs.", "resumed"),
    EventCommand("fail", "Fail jobs, with a reason.", "failed", takes_reason=True),
    EventCommand("run_now", "Make scheduled jobs due now.", "queued for now"),
    EventCommand("destroy", "Remove jobs, with their callbacks.", "destroyed"),
)
"""What a user can do with a job of any class."""


def event_commands() -> list[EventCommand]:
    """Return what a user can do with jobs, also by what plugins bring."""
    states = application.current().plugins.states.values()
    return [*COMMANDS, *(command for state in states for command in state.commands)]


_problems: WeakKeyDictionary[Job, str] = WeakKeyDictionary()


def find_jobs(query: Query[Any]) -> Iterator[Job]:
    """Yield the jobs of a query; one that cannot be loaded does not end the listing."""
    documents = Job.collection().find(
        query.filter(),
        None,
        sort=list(query.sorting) or None,
        skip=query.skipped,
        limit=query.maximum,
    )
    for stored in documents:
        yield load(stored)


def load(stored: Stored) -> Job:
    """Return a stored job to show, not to change, whatever its document contains."""
    job = Job.listed(stored)
    if isinstance(job, UnknownJob) and job.error is not None:
        _problems[job] = f"cannot be loaded: {job.problem}"
    values = values_of(job)
    for name, field in job.fields().items():
        if faults := _misfit(field, values[name]):
            problems = "; ".join(at(name, fault) for fault in faults)
            _problems[job] = f"does not fit its class: {problems}"
            if name in STANDARD:  # what is made of these relies on their types
                values[name] = field.make_default()
    return job


def _misfit(field: Field, value: Any) -> list[str]:
    if isinstance(value, Sealed):
        return []
    if value is None:
        return [] if field.codec.optional else ["has no value"]
    return field.unless_secret(field.codec.faults(value))


def problem_of(job: Job) -> str | None:
    """Say what is wrong with the document of a job, if anything."""
    return _problems.get(job)


def remarks_of(job: Job) -> list[Remark]:
    """Return remarks on a job besides its fields, if its document can be read."""
    return [] if problem_of(job) else list(job.remarks())


def reasons_of(job: Job) -> list[Reason]:
    """Return why a running job has no worker."""
    idle = job.is_running and not problem_of(job) and not job.worker_names
    return list(job.held_up_by()) if idle else []


def class_name(job: Job) -> str:
    """Return the class that the job was stored with, loaded here or not."""
    return job.class_name if isinstance(job, UnknownJob) else job.type_name()


def summary(job: Job) -> dict[str, Any]:
    """Return what listings print of a job."""
    values: dict[str, Any] = {"id": str(job.id), "class": class_name(job)}
    values["known_class"] = not isinstance(job, UnknownJob)
    for name in STANDARD:
        if name not in ("id", "exception", "result", "arguments", *NOT_LISTED):
            values[name] = getattr(job, name)
    values |= {"seconds": job.seconds, "duration": job.duration}
    values["exception"] = _exception(job.exception, backtrace=False)
    values["problem"] = problem_of(job)
    values["remarks"] = {remark.name: remark.value for remark in remarks_of(job)}
    return values


def details(job: Job, reveal: bool = False) -> dict[str, Any]:
    """Return all that is known of a job.

    Args:
        reveal: encrypted fields too, in clear.
    """
    return {
        **summary(job),
        "arguments": job.arguments,
        "result": job.result,
        "exception": _exception(job.exception, backtrace=True),
        "fields": own_fields(job, reveal),
        "history": [attrs.asdict(entry) for entry in job.history],
        "possible_events": possible_events(job),
    }


def own_fields(job: Job, reveal: bool = False) -> dict[str, Any]:
    """Return the fields that the job's class adds to those of every job."""
    return {
        name: HIDDEN
        if field.encrypted and not reveal and values_of(job)[name] is not None
        else getattr(job, name)
        for name, field in job.fields().items()
        if name not in STANDARD
    }


def possible_events(job: Job) -> list[str]:
    """Return what a user can do with the job now."""
    return [command.event for command in event_commands() if may(job, command.event)]


def may(job: Job, event: str) -> bool:
    """Return whether an event, or `destroy`, is possible now."""
    return event == "destroy" or (event in job.__events__ and job.may(event))


def _exception(error: JobException | None, backtrace: bool) -> dict[str, Any] | None:
    if error is None:
        return None
    values: dict[str, Any] = {"class_name": error.class_name, "message": error.message}
    if backtrace:
        values |= {"backtrace": error.backtrace, "worker_name": error.worker_name}
        values["cause"] = _exception(error.cause, backtrace)
    return values
