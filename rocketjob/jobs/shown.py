"""A stored job to be shown: whatever its document contains, it is not kept back, nor the others.

For what only looks: commands and pages. A job that is to be changed is loaded by `Job.find`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from rocketjob.base.passwords import without_passwords
from rocketjob.base.text import counted
from rocketjob.jobs import claims, origin, stuck
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.job import Job
from rocketjob.jobs.reasons import Reason, Remark
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model.encrypted_fields import HIDDEN
from rocketjob.model.misfits import without_misfits
from rocketjob.model.record import HISTORY, record_of, values_of
from rocketjob.states.history import HistoryEntry
from rocketjob.store import Filter, Stored, context

STANDARD = tuple(Job.fields())
"""The fields that every job has."""

TEXTS = ("description", "progress_text", "throttled_text")
"""Fields of every job that people and programs write a URL into."""

KEPT_BESIDE = frozenset((HISTORY, claims.QUARANTINED, claims.AWAITED, stuck.STUCK))
"""What the system stores of a job besides its fields, and what begins with an underscore."""

_problems: WeakKeyDictionary[Job, str] = WeakKeyDictionary()


def load(
    stored: Stored, *, read: Container[str] | None = None, relied_on: Iterable[str] = ()
) -> Job:
    """Return a stored job to show, not to change, whatever its document contains.

    Args:
        read: the keys that were read of it, where that are not all.
        relied_on: fields besides `STANDARD` from whose types something is made: one that does not
            fit has its default, and `problem_of` says what is stored.
    """
    job = Job.listed(stored)
    if isinstance(job, UnknownJob) and job.error is not None:
        _problems[job] = f"cannot be loaded: {job.problem}"
    problems = without_misfits(job, read=read, relied_on={*STANDARD, *relied_on})
    values = values_of(job)
    for name in TEXTS:
        values[name] = without_passwords(values[name])
    problems += _of_history(stored)
    if problems:
        _problems[job] = f"does not fit its class: {'; '.join(problems)}"
    return job


def _of_history(stored: Stored) -> list[str]:
    entries = stored.get(HISTORY, [])
    if not isinstance(entries, list):
        return [f"{HISTORY} is not a list"]
    wrong = sum(not HistoryEntry.is_stored_as(entry) for entry in entries)
    if not wrong:
        return []
    return [f"{HISTORY} has {counted(wrong, 'entry', 'entries')} that nobody can read"]


def problem_of(job: Job) -> str | None:
    """Say what is wrong with the document of a job, if anything."""
    return _problems.get(job)


def remarks_of(job: Job) -> list[Remark]:
    """Return remarks on a job besides its fields, if its document can be read."""
    if problem_of(job):
        return []
    try:
        return list(job.remarks())
    except Exception as error:
        why = _why(error)
        return [Remark("remarks", why, "remarks fail", f"Its class cannot say more of it: {why}.")]


def reasons_of(job: Job) -> list[Reason]:
    """Return why a running job has no worker, or what of a failed one has failed."""
    stands = job.is_failed or (job.is_running and not job.worker_names)
    try:
        return list(job.held_up_by()) if stands and not problem_of(job) else []
    except Exception as error:
        return [Reason("held_up_by", f"its class cannot say what holds it up: {_why(error)}")]


def _why(error: Exception) -> str:
    """Say what a job's own class has raised; the store's errors are not its."""
    if context.current().store.is_transient(error):
        raise error
    return f"{type(error).__name__}: {message_of(error)}"


def progress_of(job: Job) -> str:
    """Say how far a job is, or was when it last ran; nothing where that is not known."""
    text = job.progress_text if job.state != "completed" else None
    if not job.is_running:
        return f"{job.percent_complete}%: {text}" if text else ""
    return f"{job.percent_complete}%: {text}" if text else f"{job.percent_complete}%"


def class_name(job: Job) -> str:
    """Return the class that the job was stored with, loaded here or not."""
    return job.class_name if isinstance(job, UnknownJob) else job.type_name()


def created_in(job: Job, limit: int = origin.SHOWN) -> list[Job]:
    """Return the newest jobs that were created in this one, as far as lists show them."""
    return listed(origin.of_creator(job.id), limit)


def listed(filter: Filter, limit: int = origin.SHOWN) -> list[Job]:
    """Return the newest jobs of a filter, as far as lists show them."""
    return [load(stored, read=stored) for stored in origin.newest(filter, limit)]


def unknown_fields(job: Job) -> dict[str, Any]:
    """Return what is stored of a job and is no field of its class, or of the class it has here."""
    stored = record_of(job).stored or {}
    return {key: _readable(stored[key]) for key in unknown_keys(job)}


def unknown_keys(job: Job) -> list[str]:
    """Return the keys of these fields."""
    known = {field.key for field in job.fields().values()} | KEPT_BESIDE
    unknown = (record_of(job).stored or {}).keys() - known
    return sorted(key for key in unknown if not key.startswith("_"))


def _readable(value: Any) -> Any:
    """Return a value to show; bytes may be what another class encrypts."""
    return f"({len(value)} bytes)" if isinstance(value, bytes) else without_passwords(value)


def own_fields(job: Job, reveal: bool = False) -> dict[str, Any]:
    """Return the fields that the job's class adds to those of every job."""
    return {
        name: HIDDEN
        if field.encrypted and not reveal and values_of(job)[name] is not None
        else getattr(job, name)
        for name, field in job.fields().items()
        if name not in STANDARD
    }
