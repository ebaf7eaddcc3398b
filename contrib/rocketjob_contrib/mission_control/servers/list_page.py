"""The lists of servers, and the same rows as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.lists import (
    Asked,
    Column,
    Count,
    Found,
    Listing,
    asked_of,
    found_among,
)
from rocketjob_contrib.mission_control.servers import all_of_them, one
from rocketjob_contrib.mission_control.servers.fleet import (
    ServerTab,
    by_state,
    fleet,
    shown_state,
)
from rocketjob_contrib.mission_control.tables import as_table, asked_by_table

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LISTING = Listing(
    (
        Column("name", "Name", "name"),
        Column("workers", "Workers", "workers", number=True),
        Column("busy", "Busy", "busy", number=True),
        Column("started", "Started", "started_at"),
        Column("heartbeat", "Last heartbeat", "heartbeat_at"),
        Column("actions", "Actions"),
    ),
    ("name",),
    ("name",),
)


@attrs.frozen
class Row:
    """One server in a list."""

    server: Server
    state: str
    actions: tuple[one.ServerAction, ...]

    @property
    def id(self) -> str:
        return str(self.server.id)

    @property
    def busy(self) -> int:
        """How many jobs and slices were in work at the last heartbeat."""
        return len(self.server.performing)


def page_of(tab: ServerTab) -> Callable[[View], Response]:
    """Return the view of a list."""

    def show(view: View) -> Response:
        found = find(view, tab, asked_of(LISTING, view.query))
        offered = all_of_them.offered(view, tab)
        return view.render("servers/list.html", tab=tab, found=found, offered=offered)

    return show


def json_of(tab: ServerTab) -> Callable[[View], Response]:
    """Return the view of a list as JSON, in the form that tables of the Ruby version asked for."""

    def show(view: View) -> Response:
        return as_table(view.query, find(view, tab, asked_by_table(LISTING, view.query)), _as_json)

    return show


def find(view: View, tab: ServerTab, asked: Asked) -> Found:
    """Return a page of a list."""
    servers = by_state(view).get(tab.state, []) if tab.state else fleet(view)
    rows = [_row(view, server) for server in servers]
    return found_among(asked, rows, _field, Count(len(rows)))


def _row(view: View, server: Server) -> Row:
    state = shown_state(server)
    return Row(server, state, tuple(one.actions_for(view, server, one.IN_ROW)))


def _field(row: Row, name: str) -> Any:
    if name == "_id":
        return row.id
    return row.busy if name == "busy" else getattr(row.server, name)


def _as_json(row: Row) -> dict[str, Any]:
    server = row.server
    return {
        "id": row.id,
        "name": server.name,
        "state": row.state,
        "workers": server.workers,
        "max_workers": server.max_workers,
        "busy": row.busy,
        "started_at": server.started_at and server.started_at.isoformat(),
        "heartbeat_at": server.heartbeat_at and server.heartbeat_at.isoformat(),
        "actions": [action.name for action in row.actions],
    }
