"""The page of a server: what it is, and what it runs; at the last heartbeat, or asked now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.server.questions import Reply, ask_servers
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.servers.fleet import shown_state
from rocketjob_contrib.mission_control.servers.one import actions_for
from rocketjob_contrib.mission_control.servers.stacks_page import SECONDS
from rocketjob_contrib.mission_control.templating import code, moment

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show a server; with `?ask=work` it is asked what each of its workers does now."""
    server: Server = view.target
    if view.query.get("ask") != "work":
        return _page(view)
    if not answers(server):
        view.say("warning", f"{server.name} is {shown_state(server)}: it would not answer")
        return view.go(f"/servers/{server.id}")
    return _page(view, ask(server))


def ask(server: Server) -> Reply:
    """Ask a server what each of its workers does now."""
    (reply,) = ask_servers([server], "work", SECONDS)
    return reply


def answers(server: Server) -> bool:
    """Return whether a server would answer a question."""
    return shown_state(server) not in ("starting", "zombie")


def _page(view: View, reply: Reply | None = None) -> Response:
    server: Server = view.target
    work = [row for each in reply.given for row in each.content["work"]] if reply else []
    return view.render(
        "servers/server.html",
        server=server,
        state=shown_state(server),
        actions=actions_for(view, server),
        facts=[(name, value) for name, value in _facts(view, server) if value not in (None, "")],
        performing=_performing(server),
        answers=answers(server),
        reply=reply,
        work=work,
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
        ("ID", code(server.id)),
    ]


def _performing(server: Server) -> list[tuple[str, str | None]]:
    """Return what was in work at the last heartbeat: ids of jobs, each with the slice, if any."""
    parts = [id.partition("/") for id in server.performing]
    return [(job, _grouped(slice_) or None) for job, _, slice_ in parts]


def _grouped(number: str) -> str:
    return f"{int(number):,}" if number.isdecimal() else number
