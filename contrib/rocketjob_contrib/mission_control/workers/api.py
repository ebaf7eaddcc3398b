"""Workers by the API: who is at what, the longest running first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation, shown_at
from rocketjob_contrib.mission_control.api.schemas import page_of, text
from rocketjob_contrib.mission_control.lists import DEEPEST, Asked
from rocketjob_contrib.mission_control.workers import list_page
from rocketjob_contrib.mission_control.workers.busy import Busy

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView


def operations() -> list[Operation]:
    """Return the operations."""
    return [
        operation(
            "GET /workers",
            listing,
            "list_workers",
            "List the workers that are at something, the longest running first.",
            query={"job_id": text(100, least=1), "server_name": text(200, least=1), **PAGED},
            returns=page_of("Worker"),
            pages=shown_at("/active_workers"),
        ),
    ]


def listing(view: ApiView) -> Response:
    """List the workers."""
    begin = min(cursors.after(view, "workers", cursors.number) or 0, DEEPEST)
    asked = Asked(list_page.LISTING, size=begin + cursors.size_of(view) + 1)
    found = list_page.find(view, asked, list_page.narrowed(view).selection)
    return cursors.page_of_few(view, "workers", found.rows, _worker)


def _worker(row: Busy) -> dict[str, Any]:
    return list_page.as_json(row)
