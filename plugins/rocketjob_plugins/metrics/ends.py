"""What a change of state means for the metrics: whether it has ended an attempt, how and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rocketjob import Job
from rocketjob.jobs.changed import Changed
from rocketjob.model.record import HISTORY, HISTORY_LIMIT, record_of
from rocketjob.states.history import RELEASE
from rocketjob.store import Stored
from rocketjob_plugins.metrics.figures import (
    ABORTED,
    COMPLETED,
    FAILED,
    REQUEUED,
    RETRIED,
    SNOOZED,
)

BY_EVENT = {
    "complete": COMPLETED,
    "fail": FAILED,
    "abort": ABORTED,
    "snooze": SNOOZED,
    "requeue": REQUEUED,
}


def class_of(job: Job) -> str:
    """Return the name of a job's class as it is stored, also of one that is not loaded here."""
    stored = record_of(job).stored
    name: str | None = stored.get("_type") if stored else None
    return name or type(job).type_name()


def outcome_of(change: Changed) -> str | None:
    """Return how a change has ended a job or an attempt; None if it has not."""
    outcome = BY_EVENT.get(change.events[0])
    return RETRIED if outcome is FAILED and "retry" in change.events else outcome


def times_of(change: Changed) -> tuple[float, float] | None:
    """Return how long an attempt had waited, and how long it took, by the job's history.

    Returns:
        seconds; None where the history does not tell, as of a job that was not running.
    """
    if change.source != "running":
        return None
    try:
        return _times_by(record_of(change.job).stored or {}, change.events, change.run_at)
    except (AttributeError, KeyError, TypeError):  # people edit documents by hand
        return None


def _times_by(
    stored: Stored, events: tuple[str, ...], run_at: datetime | None
) -> tuple[float, float] | None:
    history = stored.get(HISTORY) or ()
    last = len(history) - len(events)
    if last < 0 or history[last]["event"] != events[0]:
        return None
    start = last - 1
    while start >= 0 and history[start]["event"] != "start":
        start -= 1
    if start < 0:
        return None
    started = history[start]["at"]
    before = start - 1
    while before >= 0 and history[before]["event"] in ("start", RELEASE):
        before -= 1
    queued = _queued_at(stored, history, before)
    if queued is None:
        return None
    if run_at is not None and queued < run_at <= started:
        queued = run_at
    return (started - queued).total_seconds(), (history[last]["at"] - started).total_seconds()


def _queued_at(stored: Stored, history: Any, before: int) -> datetime | None:
    if before >= 0:
        at: datetime = history[before]["at"]
        return at
    first = history[0]
    if len(history) >= HISTORY_LIMIT:  # what was before is not known any more
        return first.get("since", first["at"])  # type: ignore[no-any-return]
    return stored.get("created_at")
