"""Jobs in words: what is shown of one, how long it took, and the names of its class."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

import attrs
from bson import ObjectId

from rocketjob.base.passwords import without_passwords
from rocketjob.model.encrypted_fields import HIDDEN
from rocketjob.model.record import values_of

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

_MEANINGLESS = {
    "queued": ("started_at", "completed_at"),
    "running": ("completed_at",),
    "completed": ("percent_complete",),
}


def shown_fields(job: Job) -> dict[str, Any]:
    """Return the fields that mean something in the job's state, for `Job.as_dict`."""
    values = {name: _shown(job, name) for name in sorted(job.fields()) if name != "id"}
    for name in ("claimed_by", "claim_number"):
        values.pop(name)
    for name in _MEANINGLESS.get(job.state, ()):
        values.pop(name, None)
    for name in ("failure_count", "interruptions"):
        if not values.get(name):
            values.pop(name, None)
    if job.state != "completed" or job.result is None:
        values.pop("result", None)
    first: dict[str, Any] = {"id": job.id}
    if job.state in ("paused", "aborted", "failed"):
        first[f"{job.state}_at"] = values.pop("completed_at", None) or job.completed_at
    return {**first, **values, "seconds": job.seconds, "duration": job.duration}


def _shown(job: Job, name: str) -> Any:
    value = values_of(job)[name]
    if job.fields()[name].encrypted and value is not None:
        return HIDDEN
    return without_passwords(attrs.asdict(value) if attrs.has(type(value)) else value)


def plain(value: Any, zone: tzinfo) -> Any:
    """Return a time as text in a zone, an id as text, and anything else as it is."""
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
    return str(value) if isinstance(value, ObjectId) else value


def duration_text(seconds: float | None) -> str:
    """Render seconds as `5.000ms`, `50.0ms`, `5.000s`, `1m 30s`, `1h 1m`, `1d 1h 1m`."""
    if seconds is None:
        return ""
    if seconds < 0.01:
        return f"{seconds * 1000:.3f}ms"
    if seconds < 1:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 60:
        return f"{seconds:.3f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h {minutes}m"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def underscored(name: str) -> str:
    """Return `DataStudy` as `data_study`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def plural(name: str) -> str:
    """Return `data_study` as `data_studies`."""
    if name.endswith("y") and name[-2:-1] not in ("a", "e", "i", "o", "u"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")
