"""Servers by the API: listed, read, asked, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation, shown_at
from rocketjob_contrib.mission_control.api.problems import Problem
from rocketjob_contrib.mission_control.api.schemas import (
    Schema,
    body,
    choice,
    page_of,
    ref,
    text,
    whole,
)
from rocketjob_contrib.mission_control.servers import (
    all_of_them,
    fleet,
    log_level,
    one,
    server_page,
)
from rocketjob_contrib.mission_control.servers.fleet import server_in_path
from rocketjob_contrib.mission_control.servers.minutes import MOST
from rocketjob_contrib.mission_control.servers.one import ServerAction

if TYPE_CHECKING:
    from rocketjob.server.questions import Given, Reply
    from rocketjob_contrib.mission_control.api.view import ApiView
    from rocketjob_contrib.mission_control.view import View

REASON = text(500)
MINUTES: Schema = {"type": "number", "minimum": 0.01, "maximum": MOST}


def operations() -> list[Operation]:
    """Return the operations."""
    states = [tab.state for tab in fleet.TABS if tab.state is not None]
    return [
        operation(
            "GET /servers",
            listing,
            "list_servers",
            "List servers by their names.",
            query={"state": choice(*states), **PAGED},
            returns=page_of("Server"),
            pages=shown_at(*(tab.path for tab in fleet.TABS)),
        ),
        operation(
            "GET /servers/{id}",
            show,
            "get_server",
            "Return a server.",
            target=server_in_path,
            returns=ref("Server"),
        ),
        operation(
            "GET /servers/{id}/work",
            work,
            "get_work_of_server",
            "Ask a server what each of its workers does now; it has two seconds to answer.",
            target=server_in_path,
            returns=ref("Answers"),
        ),
        *(_order(action) for action in _orders() if action.name != "destroy"),
        operation(
            "DELETE /servers/{id}",
            doing(one.ACTIONS["destroy"]),
            "delete_server",
            "Remove a dead server, and queue what it ran again; end one that lives.",
            permission="servers.destroy",
            target=server_in_path,
            returns=ref("Done"),
            pages=("/servers/{id}/destroy",),
        ),
        operation(
            "POST /servers/update_all",
            tell_all,
            "tell_all_servers",
            "Tell every server something.",
            permission="servers.all",
            body=body(("action",), action=choice(*_told_only()), minutes=MINUTES, reason=REASON),
            returns=ref("Done"),
        ),
        operation(
            "POST /servers/thread_dump",
            dump_all,
            "thread_dump_of_servers",
            "Ask every server where each of its threads is; they have two seconds to answer.",
            permission="servers.all",
            body=body((), reason=REASON),
            returns=ref("Answers"),
        ),
    ]


def _told_only() -> list[str]:
    return [name for name, action in all_of_them.ACTIONS.items() if action.shows is None]


def _orders() -> list[ServerAction]:
    """Return what a server can be told; to programs it is said what it answers to all of it."""
    changed = {"log_level": attrs.evolve(one.ACTIONS["log_level"], shows=_level)}
    return [*({**one.ACTIONS, **changed}).values()]


def _level(view: View, servers: Sequence[Server]) -> Response:
    return view.render("", replies=[(reply, ()) for reply in log_level.tell(view.form, servers)])


def _inputs(action: ServerAction) -> dict[str, Schema]:
    """Return what a program may say besides, as a form asks it."""
    numbers = {each.name: MINUTES for each in action.inputs if each.mode == "decimal"}
    chosen = {each.name: choice(*each.choices) for each in action.inputs if each.choices}
    return {**{each.name: text(100) for each in action.inputs}, **numbers, **chosen}


def _passed(action: ServerAction) -> dict[str, Schema]:
    known = {"job": text(24, least=24, pattern="^[0-9a-f]{24}$"), "slice": whole(0, 2**62)}
    return {name: known[name] for name in action.passes}


def _order(action: ServerAction) -> Operation:
    required = tuple(each.name for each in action.inputs if each.choices)
    asks = action.shows is not None
    return operation(
        f"POST /servers/{{id}}/{action.name}",
        doing(action),
        f"{action.name}_server",
        action.does,
        permission=f"servers.{action.name}",
        target=server_in_path,
        body=body(required, state=text(50), reason=REASON, **_inputs(action), **_passed(action)),
        returns=ref("Answers" if asks else "Done"),
    )


# --- looking -----------------------------------------------------------------------------------


def listing(view: ApiView) -> Response:
    """List servers."""
    state = view.params.get("state")
    found = fleet.by_state(view).get(state, []) if state else fleet.fleet(view)
    return cursors.page_of_few(view, "servers", found, lambda server: _server(view, server))


def show(view: ApiView) -> Response:
    """Return a server."""
    return view.json(_server(view, view.target))


def _server(view: ApiView, server: Server) -> dict[str, Any]:
    names = ("name", "host", "pid", "workers", "max_workers", "processes", "heartbeat_seconds")
    return {
        "id": str(server.id),
        **{name: getattr(server, name) for name in names},
        "state": fleet.shown_state(server),
        "started_at": server.started_at,
        "heartbeat_at": server.heartbeat_at,
        "performing": list(server.performing),
        "narrowed_by": server.narrowed_by,
        "actions": [action.name for action in one.actions_for(view, server)],
    }


def work(view: ApiView) -> Response:
    """Ask a server what its workers do."""
    server: Server = view.target
    if not server_page.answers(server):
        raise Problem(409, f"{server.name} is {fleet.shown_state(server)}: it would not answer")
    return view.json(_replies([server_page.ask(server)]))


def _replies(replies: Iterable[Reply]) -> dict[str, Any]:
    return {
        "servers": [
            {
                "server": reply.server.name,
                "processes": [_process(given) for given in reply.given],
                "missing": list(reply.missing),
            }
            for reply in replies
        ]
    }


def _process(given: Given) -> dict[str, Any]:
    return {"name": given.name, "is_worker": given.is_worker, "content": dict(given.content)}


# --- telling -----------------------------------------------------------------------------------


def doing(action: ServerAction) -> Callable[[ApiView], Response]:
    """Return the view that tells a server something, as the page does."""
    do = one.doing(action)

    def answer(view: ApiView) -> Response:
        names = (*(each.name for each in action.inputs), *action.passes)
        more = [(name, _said(view, name)) for name in names]
        return _told(view, do, action, [("state", view.body.get("state")), *more])

    return answer


def _said(view: ApiView, name: str) -> str | None:
    value = view.body.get(name)
    return None if value is None else str(value)


def tell_all(view: ApiView) -> Response:
    """Tell all servers something."""
    return _told_all(view, view.body["action"])


def dump_all(view: ApiView) -> Response:
    """Ask all servers where their threads are."""
    return _told_all(view, "thread_dump")


def _told_all(view: ApiView, name: str) -> Response:
    action = all_of_them.ACTIONS[name]
    pairs = [("server_action", name), ("minutes", _said(view, "minutes"))]
    return _told(view, all_of_them.do, action, pairs)


def _told(
    view: ApiView,
    do: Callable[[Any], Response],
    action: ServerAction,
    pairs: Sequence[tuple[str, str | None]],
) -> Response:
    """Do it; who says it in a program needs to type no word besides."""
    done = view.by_page(do, [*pairs, ("typed", action.word)])
    if "replies" in done.values:
        return view.json(_replies(reply for reply, _ in done.values["replies"]))
    said = [{"kind": message.kind, "text": message.text} for message in done.messages]
    return view.json({"messages": said})
