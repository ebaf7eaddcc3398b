"""What all servers are told at once, whichever the list shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from starlette.responses import Response

from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict
from rocketjob.base.text import counted
from rocketjob.server.orders import ORDERS, remove_dead
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.asking import Question, ask, typed_wrongly
from rocketjob_contrib.mission_control.errors import Forbidden, Missing
from rocketjob_contrib.mission_control.servers import one
from rocketjob_contrib.mission_control.servers.fleet import ServerTab, fleet, shown_state

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

PATH = "/servers/update_all"


@attrs.frozen(kw_only=True)
class Order:
    """What all servers can be told.

    Attributes:
        verb: what is asked of them, in the message afterwards.
        states: those that it reaches, as they are shown.
        word: that has to be typed.
    """

    name: str
    title: str
    icon: str
    verb: str
    does: str
    states: tuple[str, ...]
    is_dangerous: bool = False
    word: str | None = None

    def reached(self, servers: list[Server]) -> list[Server]:
        """Return those that it makes sense for."""
        return [server for server in servers if shown_state(server) in self.states]


def _order(name: str, verb: str, does: str, word: str | None = None) -> Order:
    action = one.ACTIONS[name]
    return Order(
        name=name,
        title=f"{action.title} all",
        icon=action.icon,
        verb=verb,
        does=does,
        states=action.states,
        is_dangerous=action.is_dangerous,
        word=word,
    )


_ALL = (
    _order(
        "pause",
        "to pause",
        "They finish what they run. Nothing more is started anywhere until they are resumed.",
    ),
    _order("resume", "to go on", "They take jobs again."),
    _order(
        "stop",
        "to stop",
        "What they run has the grace period to finish; the rest is queued again. Then nothing is "
        "run until servers are started.",
        "STOP ALL",
    ),
    _order(
        "kill",
        "to end at once",
        "They end at once. What they run is cut off and queued again; then nothing is run until "
        "servers are started.",
        "KILL ALL",
    ),
    _order(
        "thread_dump",
        "to write the stacks of their threads to their logs",
        "Each writes the stacks of all its threads to its standard error, and goes on working.",
    ),
    Order(
        name="destroy_zombies",
        title="Remove the dead",
        icon="destroy",
        verb="",
        does="What they ran is queued again, and they are taken off the list. Living servers are "
        "left alone.",
        states=("zombie",),
        is_dangerous=True,
    ),
)
ORDERS_TO_ALL = {order.name: order for order in _ALL}


def offered(view: View, tab: ServerTab) -> list[Order]:
    """Return what a list offers whoever looks to do with all servers."""
    if not fleet(view) or not view.may("servers.all"):
        return []
    names = [name for name in tab.offered if view.may(f"servers.{name}")]
    return [ORDERS_TO_ALL[name] for name in names]


def ask_first(view: View) -> Response:
    """Ask whether an order to all is meant."""
    order = _asked(view)
    return ask(view, _question(view, order)) if order.reached(fleet(view)) else _nobody(view, order)


def do(view: View) -> Response:
    """Give an order to all servers that it makes sense for."""
    order = _asked(view)
    servers = order.reached(fleet(view))
    if not servers:
        return _nobody(view, order)
    question = _question(view, order)
    if problem := typed_wrongly(view, question):
        return ask(view, question, problem)
    if order.name == "destroy_zombies":
        return _remove(view, servers)
    told = [server for server in servers if _is_told(ORDERS[order.name], server)]
    for server in told:
        one.note(view, order.name, server)
    if told:
        text = f"{counted(len(told), 'server')} {'has' if len(told) == 1 else 'have'} been asked"
        view.say("success", f"{text} {order.verb}: it takes effect when they hear of it")
    if len(told) < len(servers):
        late = ", ".join(server.name for server in servers if server not in told)
        view.say("warning", f"{order.title}: not done for {late}, which changed in the meantime")
    return view.go(view.back("/servers"))


def _asked(view: View) -> Order:
    name = view.query.get("server_action") or view.form.get("server_action") or ""
    order = ORDERS_TO_ALL.get(name)
    if order is None:
        raise Missing(f"Servers cannot be told to {name[:50] or 'do nothing'}", "/servers")
    if not view.may(f"servers.{name}"):
        needed = view.site.policy.permissions[f"servers.{name}"].role
        raise Forbidden(f"That needs the role {needed}")
    return order


def _is_told(give: Callable[[Server], object], server: Server) -> bool:
    try:
        give(server)
    except (InvalidTransition, StateConflict, NotFound):
        return False  # somebody else was first, or it has ended
    return True


def _remove(view: View, servers: list[Server]) -> Response:
    for server in servers:
        reclaimed = remove_dead(server)
        if reclaimed is None:
            view.say("warning", f"{server.name} lives after all: nothing was done")
            continue
        one.note(view, "destroy", server)
        view.say("success", f"{server.name} {one.removed(reclaimed)}")
    return view.go(view.back("/servers"))


def _nobody(view: View, order: Order) -> Response:
    which = "dead" if order.name == "destroy_zombies" else " or ".join(order.states)
    view.say("warning", f"{order.title}: nothing was done. No server is {which}")
    return view.go(view.back("/servers"))


def _question(view: View, order: Order) -> Question:
    servers = order.reached(fleet(view))
    which = "dead server" if order.name == "destroy_zombies" else "server"
    return Question(
        title=f"{order.title}?" if order.name == "destroy_zombies" else f"{order.title} servers?",
        path=f"{PATH}?server_action={order.name}",
        button=order.title,
        icon=order.icon,
        subject=counted(len(servers), which),
        texts=(order.does,),
        names=tuple(server.name for server in servers),
        back=view.back("/servers"),
        is_dangerous=order.is_dangerous,
        word=order.word,
    )
