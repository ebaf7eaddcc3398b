"""A job as JSON, with the same keys whatever its class and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from rocketjob import Job, UnknownJob, application
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.shown import (
    STANDARD,
    class_name,
    created_in,
    load,
    own_fields,
    problem_of,
    remarks_of,
    unknown_fields,
)
from rocketjob.jobs.steering import may
from rocketjob.model.query import Query
from rocketjob.states.state import EventCommand

NOT_LISTED = ("claimed_by", "claim_number")
COMMANDS = (
    EventCommand("retry", "Queue failed jobs again.", "retried"),
    EventCommand("abort", "Give jobs up for good.", "aborted", takes_reason=True),
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


def summary(job: Job) -> dict[str, Any]:
    """Return what listings print of a job."""
    values: dict[str, Any] = {"id": str(job.id), "class": class_name(job)}
    values["known_class"] = not isinstance(job, UnknownJob)
    for name in STANDARD:
        if name not in ("id", "exception", "result", "arguments", *NOT_LISTED):
            values[name] = getattr(job, name)
    values |= {"seconds": job.seconds, "duration": job.duration}
    values["exception"] = exception_json(job.exception, backtrace=False)
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
        "exception": exception_json(job.exception, backtrace=True),
        "fields": own_fields(job, reveal),
        "unknown_fields": unknown_fields(job),
        "history": [attrs.asdict(entry) for entry in job.history],
        "possible_events": possible_events(job),
        "created_jobs": [
            {"id": str(each.id), "class": class_name(each), "state": each.state}
            for each in created_in(job)
        ],
    }


def possible_events(job: Job) -> list[str]:
    """Return what a user can do with the job now."""
    return [command.event for command in event_commands() if may(job, command.event)]


def exception_json(error: JobException | None, backtrace: bool) -> dict[str, Any] | None:
    """Return an exception, with its causes if the backtrace is wanted."""
    if error is None:
        return None
    values: dict[str, Any] = {"class_name": error.class_name, "message": error.message}
    if backtrace:
        values |= {"backtrace": error.backtrace, "worker_name": error.worker_name}
        values["cause"] = exception_json(error.cause, backtrace)
    return values
