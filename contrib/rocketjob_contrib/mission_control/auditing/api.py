"""The audit by the API: what people have changed, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from bson import ObjectId
from starlette.responses import Response

from rocketjob.model.lookup import as_object_id
from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.problems import Fault, Problem
from rocketjob_contrib.mission_control.api.schemas import page_of, text
from rocketjob_contrib.mission_control.api.times import WHEN, moment_of
from rocketjob_plugins.audit import AuditRecord
from rocketjob_plugins.audit.trail import Wanted, loaded, stored_records

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

NAME = text(200, least=1)
LIST = "audit"  # in cursors
NEWEST = ObjectId(
    "f" * 24
)  # above all ids of ours; what has another kind of id is on the page only


def operations() -> list[Operation]:
    """Return the operations."""
    narrowed = {"actor": NAME, "job": NAME, "class": NAME, "event": NAME, "since": WHEN}
    return [
        operation(
            "GET /audit",
            listing,
            "list_audit",
            "List what people have changed, the newest first.",
            query={**narrowed, **PAGED},
            returns=page_of("AuditRecord"),
        ),
    ]


def listing(view: ApiView) -> Response:
    """List the records."""
    asked = view.params
    wanted = Wanted(
        by=asked.get("actor"),
        job=_job(view),
        name=asked.get("class"),
        event=asked.get("event"),
        since=moment_of(view, "since", view.now),
        before=cursors.after(view, LIST, cursors.object_id) or NEWEST,
    )
    found = list(stored_records(wanted, limit=cursors.size_of(view) + 1))
    return cursors.page(
        view, LIST, found, lambda stored: as_json(loaded(stored)), lambda stored: stored["_id"]
    )


def _job(view: ApiView) -> ObjectId | None:
    text = view.params.get("job")
    if text is None:
        return None
    id = as_object_id(text)
    if not isinstance(id, ObjectId):
        why = "must be the id of a job: 24 digits from 0 to 9 and a to f"
        raise Problem(400, f"job {why}", [Fault("job", why)])
    return id


def as_json(record: AuditRecord) -> dict[str, Any]:
    """Return a record as programs are told it."""
    id = None if record.id is None else str(record.id)
    return {**attrs.asdict(record, recurse=False), "id": id}
