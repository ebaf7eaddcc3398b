"""The list of what people did, the newest first, narrowed by who, what and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
from bson import ObjectId
from starlette.responses import Response

import rocketjob
from rocketjob.model.lookup import as_object_id
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.lists import (
    COUNTED,
    Asked,
    Column,
    Count,
    Found,
    Listing,
    asked_of,
)
from rocketjob_plugins.audit import AuditRecord, count_records, records

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LISTING = Listing(
    (
        Column("at", "When"),
        Column("by", "Who"),
        Column("event", "Did"),
        Column("what", "What"),
        Column("change", "Change"),
        Column("reason", "Reason"),
        Column("how", "By"),
    ),
    ("-_id",),
)
SINCE = {
    "1h": ("the last hour", timedelta(hours=1)),
    "24h": ("the last 24 hours", timedelta(hours=24)),
    "7d": ("the last 7 days", timedelta(days=7)),
}
LONGEST = 200


@attrs.frozen
class Wanted:
    """Which records a page shows, as its URL says; None for any."""

    by: str | None
    event: str | None
    name: str | None
    job: str | None
    since: str | None

    @property
    def is_narrowed(self) -> bool:
        return any(attrs.astuple(self))


def show(view: View) -> Response:
    """Show the list."""
    wanted = _wanted(view)
    kept = tuple((name, value) for name, value in attrs.asdict(wanted).items() if value)
    asked = attrs.evolve(asked_of(LISTING, view.query), kept=kept)
    return view.render(
        "auditing/list.html",
        found=_find(view, asked, wanted),
        wanted=wanted,
        spans={key: words for key, (words, _) in SINCE.items()},
        days=rocketjob.settings("audit").keep_days,
    )


def _wanted(view: View) -> Wanted:
    values = {name: view.query.get(name, "").strip() for name in attrs.fields_dict(Wanted)}
    for name, value in values.items():
        if len(value) > LONGEST:
            raise BadRequest(f"{name} has at most {LONGEST} characters, not {len(value):,}")
    if values["since"] and values["since"] not in SINCE:
        raise BadRequest(f"since must be {', '.join(SINCE)} or left out")
    return Wanted(**{name: value or None for name, value in values.items()})


def _find(view: View, asked: Asked, wanted: Wanted) -> Found:
    narrowed: dict[str, Any] = {
        "by": wanted.by,
        "event": wanted.event,
        "name": wanted.name,
        "job": None if wanted.job is None else _job_id(wanted.job),
        "since": None if wanted.since is None else view.now - SINCE[wanted.since][1],
    }
    total = Count.of(count_records(**narrowed, at_most=COUNTED + 1))
    found = list(records(**narrowed, skip=asked.skip, limit=asked.size + 1))
    rows = [Row(asked.skip + number, each) for number, each in enumerate(found[: asked.size])]
    return Found(asked, rows, total, total, len(found) > asked.size)


def _job_id(text: str) -> ObjectId:
    id = as_object_id(text)
    if not isinstance(id, ObjectId):
        raise BadRequest(f"A job's id has 24 digits from 0 to 9 and a to f, not {text[:50]}")
    return id


@attrs.frozen
class Row:
    """One record as a row of the list."""

    id: int
    record: AuditRecord

    @property
    def icon(self) -> str:
        return "eye"

    @property
    def job_id(self) -> str | None:
        """The id of the job that was changed; a job that is gone has no page."""
        return str(self.record.id) if self.record.kind == "job" else None
