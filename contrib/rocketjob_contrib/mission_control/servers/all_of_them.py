"""What all servers are told at once, whichever the list shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict
from rocketjob.base.text import counted
from rocketjob.server.orders import ORDERS, remove_dead
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.asking import Question, ask, typed_wrongly
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.servers import one
from rocketjob_contrib.mission_control.servers.fleet import ServerTab, fleet
from rocketjob_contrib.mission_control.servers.one import ServerAction

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

PATH = "/servers/update_all"
REMOVAL = "destroy_zombies"


def _to_all(name: str, done: str, does: str, word: str | None = None) -> ServerAction:
    """Return what one server can be told as all are told it.

    Args:
        done: what the message afterwards says behind `has` or `have`.
    """
    action = one.ACTIONS[name]
    return attrs.evolve(action, title=f"{action.title} all", done=done, does=does, word=word)


_ALL = (
    _to_all(
        "pause",
        "been asked to pause",
        "They finish what they run. Nothing more is started anywhere until they are resumed.",
    ),
    _to_all("resume", "been asked to go on", "They take jobs again."),
    _to_all(
        "drain",
        "been asked to finish what they run, and end",
        "They start nothing more, finish what they run, and then end: for a deploy. They do so by "
        "themselves, also when this page is closed; to resume them ends the drain.",
        "DRAIN ALL",
    ),
    _to_all(
        "stop",
        "been asked to stop",
        "What they run has the grace period to finish; the rest is queued again. Then nothing is "
        "run until servers are started.",
        "STOP ALL",
    ),
    _to_all(
        "kill",
        "been asked to end at once",
        "They end at once. What they run is cut off and queued again; then nothing is run until "
        "servers are started.",
        "KILL ALL",
    ),
    _to_all(
        "thread_dump",
        "",
        "Each is asked where each of its threads is, at which job and for how long, and goes on "
        "working.",
    ),
    _to_all("log_level", "", "It changes while they run."),
    ServerAction(
        name=REMOVAL,
        title="Remove the dead",
        icon="destroy",
        does="What they ran is queued again, and they are taken off the list. Living servers are "
        "left alone.",
        states=("zombie",),
        is_dangerous=True,
    ),
)
ACTIONS = {action.name: action for action in _ALL}


def offered(view: View, tab: ServerTab) -> list[ServerAction]:
    """Return what a list offers whoever looks to do with all servers."""
    if not fleet(view) or not view.may("servers.all"):
        return []
    return [ACTIONS[name] for name in tab.offered if view.may(f"servers.{name}")]


def ask_first(view: View) -> Response:
    """Ask whether an order to all is meant."""
    action = _asked(view)
    servers = _reached(view, action)
    return ask(view, _question(view, action, servers)) if servers else _nobody(view, action)


def do(view: View) -> Response:
    """Give an order to all servers that it makes sense for."""
    action = _asked(view)
    servers = _reached(view, action)
    if not servers:
        return _nobody(view, action)
    if problem := typed_wrongly(view, action) or action.problem(view.form):
        return ask(view, _question(view, action, servers), problem)
    if action.shows is not None:
        for server in servers:
            one.note(view, action.name, server)
        return action.shows(view, servers)
    _remove(view, servers) if action.name == REMOVAL else _tell(view, action, servers)
    return view.go(view.back("/servers"))


def _asked(view: View) -> ServerAction:
    name = view.query.get("server_action") or view.form.get("server_action") or ""
    action = ACTIONS.get(name)
    if action is None:
        raise Missing(f"Servers cannot be told to {name[:50] or 'do nothing'}", "/servers")
    if not view.may(f"servers.{name}"):
        raise view.refusal(f"servers.{name}")
    return action


def _reached(view: View, action: ServerAction) -> list[Server]:
    """Return the servers that it makes sense for."""
    return [server for server in fleet(view) if action.suits(server)]


def _tell(view: View, action: ServerAction, servers: list[Server]) -> None:
    told, more = [], action.arguments(view.form)
    for server in view.steps(servers):
        if _is_told(ORDERS[action.name], server, more):
            told.append(server)
            one.note(view, action.name, server)
    if told:
        text = f"{counted(len(told), 'server')} {'has' if len(told) == 1 else 'have'} {action.done}"
        view.say("success", f"{text}: it takes effect when they hear of it")
    if len(told) < len(servers):
        late = ", ".join(server.name for server in servers if server not in told)
        view.say("warning", f"{action.title}: not done for {late}, which changed in the meantime")


def _is_told(give: Callable[..., object], server: Server, more: tuple[Any, ...]) -> bool:
    try:
        give(server, *more)
    except (InvalidTransition, StateConflict, NotFound):
        return False  # somebody else was first, or it has ended
    return True


def _remove(view: View, servers: list[Server]) -> None:
    for server in view.steps(servers):
        reclaimed = remove_dead(server)
        if reclaimed is None:
            view.say("warning", f"{server.name} lives after all: nothing was done")
            continue
        one.note(view, "destroy", server)
        view.say("success", f"{server.name} {one.removed(reclaimed)}")


def _nobody(view: View, action: ServerAction) -> Response:
    which = "dead" if action.name == REMOVAL else " or ".join(action.states)
    view.say("warning", f"{action.title}: nothing was done. No server is {which}")
    return view.go(view.back("/servers"))


def _question(view: View, action: ServerAction, servers: list[Server]) -> Question:
    removes = action.name == REMOVAL
    return Question(
        action=action,
        title=action.asks or (f"{action.title}?" if removes else f"{action.title} servers?"),
        path=f"{PATH}?server_action={action.name}",
        back=view.back("/servers"),
        subject=counted(len(servers), "dead server" if removes else "server"),
        texts=(action.does,),
        names=tuple(server.name for server in servers),
        inputs=action.inputs,
    )
