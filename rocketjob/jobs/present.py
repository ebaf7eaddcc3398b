"""Jobs in words: what is shown of one, how long it took, and the names of its class."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

import attrs
import pendulum
from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.passwords import without_passwords
from rocketjob.model.document import Document
from rocketjob.model.encrypted_fields import HIDDEN
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import values_of

_MEANINGLESS = {
    "queued": ("started_at", "completed_at"),
    "running": ("completed_at",),
    "completed": ("percent_complete", "progress_text"),
}


def shown_fields(job: Any) -> dict[str, Any]:
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


def _shown(job: Any, name: str) -> Any:
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


class Presented(Document, abstract=True):
    """What `Job` has for people: its fields as they are shown, its times and names in words."""

    if TYPE_CHECKING:  # fields of `Job`
        created_at: datetime = read_only_field()
        started_at: datetime | None = read_only_field()
        completed_at: datetime | None = read_only_field()

    @property
    def seconds(self) -> float:
        """How long the job ran, runs, or waits, in seconds."""
        start = self.started_at or self.created_at
        return ((self.completed_at or clock.now()) - start).total_seconds()

    @property
    def duration(self) -> str:
        """`seconds` in words, such as `1m 30s`."""
        return duration_text(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return all fields that mean something in the present state, id first.

        It is what is shown of a job: encrypted fields are hidden in it.
        """
        return shown_fields(self)

    def status(self, time_zone: str | tzinfo = "UTC") -> dict[str, Any]:
        """Return what the web interface shows: `as_dict`, times as text in a zone, ids as text.

        Args:
            time_zone: a name such as `America/New_York`, or a tzinfo.
        """
        zone = pendulum.timezone(time_zone) if isinstance(time_zone, str) else time_zone
        values = self.as_dict()
        values.pop("seconds")
        return {name: plain(value, zone) for name, value in values.items()}

    @classmethod
    def underscore_name(cls) -> str:
        """Return the class's name as `data_study`, without a trailing Job."""
        return underscored(re.sub(r"(?<=.)Job$", "", cls.__name__))

    @classmethod
    def human_name(cls) -> str:
        """Return the class's name as `Data Study`."""
        return cls.underscore_name().replace("_", " ").title()

    @classmethod
    def collective_name(cls) -> str:
        """Return the class's name as `data_studies`."""
        return plural(cls.underscore_name())
