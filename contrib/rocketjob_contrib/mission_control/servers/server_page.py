"""The page of a server: what it is, and what it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.servers.fleet import shown_state
from rocketjob_contrib.mission_control.servers.one import actions_for
from rocketjob_contrib.mission_control.templating import moment

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show a server."""
    server: Server = view.target
    return view.render(
        "servers/server.html",
        server=server,
        state=shown_state(server),
        actions=actions_for(view, server),
        facts=[(name, value) for name, value in _facts(view, server) if value not in (None, "")],
        performing=_performing(server),
    )


def _facts(view: View, server: Server) -> list[tuple[str, Any]]:
    return [
        ("Host", server.host),
        ("Process", str(server.pid)),
        ("Workers", f"{server.workers} of {server.max_workers}"),
        ("Worker processes", str(server.processes)),
        ("Started", moment(view, server.started_at)),
        ("Last heartbeat", moment(view, server.heartbeat_at)),
        ("Beats every", f"{server.heartbeat_seconds:g} s"),
        ("Takes only", server.narrowed_by),
        ("Takes besides", "; ".join(clause.text for clause in server.clauses)),
        ("ID", str(server.id)),
    ]


def _performing(server: Server) -> list[tuple[str, str | None]]:
    """Return what was in work at the last heartbeat: ids of jobs, each with the slice, if any."""
    parts = [id.partition("/") for id in server.performing]
    return [(job, slice_ or None) for job, _, slice_ in parts]
