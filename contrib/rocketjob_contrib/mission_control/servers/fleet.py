"""The servers, read once for a page: there are few, and rows and counts come from one look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from bson import ObjectId

from rocketjob.model.lookup import as_object_id
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.lists import Count
from rocketjob_contrib.mission_control.sections import Tab

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


@attrs.frozen(kw_only=True)
class ServerTab:
    """One list of servers.

    Attributes:
        state: as it is shown, `zombie` among them; None for all.
        offered: what it offers to do with all servers, whichever it lists.
    """

    title: str
    path: str
    state: str | None
    offered: tuple[str, ...]
    empty: str


def _tab(state: str, *offered: str) -> ServerTab:
    title, path = state.capitalize(), f"/servers/{state}"
    return ServerTab(
        title=title, path=path, state=state, offered=offered, empty=f"No server is {state}."
    )


_ALL = ServerTab(
    title="All",
    path="/servers",
    state=None,
    offered=(
        *("pause", "resume", "drain", "stop", "kill"),
        *("thread_dump", "log_level", "destroy_zombies"),
    ),
    empty="No server is registered, so nothing is run. Start one: `rocketjob server --app MODULE`",
)
TABS = (
    _ALL,
    _tab("starting", "pause", "stop", "kill"),
    _tab("running", "pause", "drain", "stop", "kill", "destroy_zombies"),
    _tab("paused", "resume", "drain", "destroy_zombies"),
    _tab("stopping", "destroy_zombies"),
    attrs.evolve(
        _tab("zombie", "destroy_zombies"),
        empty="Every server that is registered sends its heartbeat.",
    ),
)


def shown_state(server: Server) -> str:
    """Return the state of a server as it is shown: one that seems dead is a zombie."""
    return "zombie" if server.seems_dead() else server.state


def fleet(view: View) -> list[Server]:
    """Return all servers, read once for a page."""
    return view.once("servers.all", lambda: list(iter(Server.all().order_by("name"))))


def by_state(view: View) -> dict[str, list[Server]]:
    """Return the servers by the state that is shown."""
    found: dict[str, list[Server]] = {}
    for server in fleet(view):
        found.setdefault(shown_state(server), []).append(server)
    return found


def entries(view: View) -> list[Tab]:
    """Return the entries at the side."""
    found = by_state(view)
    return [
        Tab(
            path=tab.path,
            title=tab.title,
            icon=tab.state or "all",
            count=Count(len(found.get(tab.state, ()) if tab.state else fleet(view))),
        )
        for tab in TABS
    ]


def server_in_path(view: View) -> Server:
    """Return the server of the id in the path.

    Raises:
        Missing: there is none; the list says so.
    """
    id = as_object_id(view.id)
    server = Server.where(id=id).first() if isinstance(id, ObjectId) else None
    if server is None:
        raise Missing(f"There is no server with the id {view.id[:50]}: it has ended", "/servers")
    return server
