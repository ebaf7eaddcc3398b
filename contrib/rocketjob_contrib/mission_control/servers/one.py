"""What one server can be told: asked first, and done only as it was shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict
from rocketjob.base.log import Logger
from rocketjob.base.text import counted, relative
from rocketjob.server.orders import ORDERS, remove_dead
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control.asking import (
    Action,
    Input,
    Question,
    ask,
    back_after,
    typed_wrongly,
)
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.servers import log_level, stacks_page
from rocketjob_contrib.mission_control.servers.fleet import shown_state
from rocketjob_contrib.mission_control.servers.minutes import minutes_in, wrong_minutes

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")


@attrs.frozen(kw_only=True)
class ServerAction(Action):
    """What a server can be told: an order, or `destroy`.

    Attributes:
        states: in which it makes sense, as they are shown.
        shows: returns the page of what servers answer to it; None: they are only told.
        asks: the question itself, if it is not made of the title.
        inputs: what is asked for besides.
        problem: returns what is wrong with what was answered.
        arguments: returns from the form what the order is given besides the server.
        passes: parameters in the URL of the question that go along with the answer.
    """

    states: tuple[str, ...]
    shows: Callable[[View, Sequence[Server]], Response] | None = None
    asks: str | None = None
    inputs: tuple[Input, ...] = ()
    problem: Callable[[Mapping[str, str]], str | None] = lambda form: None
    arguments: Callable[[Mapping[str, str]], tuple[Any, ...]] = lambda form: ()
    passes: tuple[str, ...] = ()

    def suits(self, server: Server) -> bool:
        """Return whether it makes sense for a server as it is now.

        One whose process was seen to end is dead at once, but not removed before its heartbeat
        has been missing for long enough: until then its workers may finish what they had begun.
        """
        state = shown_state(server)
        return state in self.states and (state != "zombie" or server.is_zombie())


_ALL = (
    ServerAction(
        name="pause",
        title="Pause",
        icon="pause",
        done="has been asked to pause: it finishes what it runs and starts nothing more",
        does="It finishes what it runs, and starts nothing more until it is resumed.",
        states=("running",),
    ),
    ServerAction(
        name="resume",
        title="Resume",
        icon="resume",
        done="has been asked to go on",
        does="It takes jobs again.",
        states=("paused",),
    ),
    ServerAction(
        name="drain",
        title="Drain",
        icon="drain",
        done="is drained: it starts nothing more, and ends when what it runs is done",
        does="It starts nothing more, finishes what it runs, and then ends: for a deploy. It does "
        "so by itself, also when this page is closed; to resume it ends the drain.",
        states=("running", "paused"),
        is_dangerous=True,
        inputs=(
            Input(
                name="minutes",
                label="Stop it in any case after how many minutes",
                mode="decimal",
                hint="then what is not done within the grace period is queued again; empty: never",
            ),
        ),
        problem=wrong_minutes,
        arguments=lambda form: (minutes_in(form),),
    ),
    ServerAction(
        name="stop",
        title="Stop",
        icon="stopping",
        done="has been asked to stop: it ends when what it runs is done",
        does="What it runs has the grace period to finish; what is not done by then is queued "
        "again. It does not come back by itself, unless whatever has started it does so again.",
        states=("starting", "running", "paused"),
        is_dangerous=True,
    ),
    ServerAction(
        name="kill",
        title="Kill",
        icon="kill",
        done="has been told to end at once; what it runs is queued again",
        does="It ends at once. What it runs is cut off and queued again, and will be run from its "
        "beginning.",
        states=("starting", "running", "paused", "stopping"),
        is_dangerous=True,
        word="KILL",
    ),
    ServerAction(
        name="thread_dump",
        title="Thread dump",
        icon="dump",
        does="It is asked where each of its threads is, at which job and for how long. It goes on "
        "working.",
        states=("running", "paused", "stopping"),
        shows=stacks_page.show,
        passes=("job", "slice"),
    ),
    ServerAction(
        name="log_level",
        title="Log level",
        icon="edit",
        does="It changes while it runs. A process that is started later has the level of the "
        "settings.",
        states=("running", "paused", "stopping"),
        shows=log_level.change,
        asks="Change the level of the log?",
        inputs=log_level.INPUTS,
        problem=log_level.problem,
    ),
    ServerAction(
        name="destroy",
        title="Destroy",
        icon="destroy",
        states=("stopping", "zombie"),
        is_dangerous=True,
    ),
)
ACTIONS = {action.name: action for action in _ALL}
IN_ROW = tuple(ACTIONS[name] for name in ("pause", "resume", "stop", "destroy"))
"""What the lists offer; the page of a server offers all."""
REMOVE = "Remove and requeue"
ASKS_TO_REMOVE = "Remove this server, and requeue its work?"


def actions_for(
    view: View, server: Server, offered: tuple[ServerAction, ...] = _ALL
) -> list[ServerAction]:
    """Return what of all that is offered whoever looks may do with a server as it is now."""
    state = shown_state(server)
    return [
        _worded(action, state)
        for action in offered
        if action.suits(server) and view.may(f"servers.{action.name}", server)
    ]


def _worded(action: ServerAction, state: str) -> ServerAction:
    """Return an action with the words for what it does in this state."""
    dead = action.name == "destroy" and state == "zombie"
    return attrs.evolve(action, title=REMOVE, asks=ASKS_TO_REMOVE) if dead else action


def asking(action: ServerAction) -> Callable[[View], Response]:
    """Return the view that asks whether an action is meant."""

    def show(view: View) -> Response:
        if not action.suits(view.target):
            return _too_late(view, action)
        return ask(view, _question(view, action))

    return show


def doing(action: ServerAction) -> Callable[[View], Response]:
    """Return the view that tells the server, if it is still as it was shown."""

    def do(view: View) -> Response:
        server: Server = view.target
        state = shown_state(server)
        if not action.suits(server) or view.form.get("state", state) != state:
            return _too_late(view, action)
        if problem := typed_wrongly(view, action) or action.problem(view.form):
            return ask(view, _question(view, action), problem)
        if action.shows is not None:
            note(view, action.name, server)
            return action.shows(view, [server])
        try:
            said = _destroyed(server) if action.name == "destroy" else _told(view, action)
        except (InvalidTransition, StateConflict):
            return _too_late(view, action)
        except NotFound as error:
            raise Missing(f"{server.name} has ended: nothing was done", "/servers") from error
        if said is None:
            return _too_late(view, action)
        note(view, action.name, server)
        view.say("success", f"{server.name} {said}", _link(server, action))
        return view.go(view.back("/servers"))

    return do


def note(view: View, order: str, server: Server) -> None:
    """Log who has told a server what."""
    login = view.identity.login or ""
    log.info("a server was told something by hand", order=order, server=server.name, login=login)


def _told(view: View, action: ServerAction) -> str:
    ORDERS[action.name](view.target, *action.arguments(view.form))
    return action.done


def _destroyed(server: Server) -> str | None:
    """Remove a dead server; end a living one, which queues its work again by itself."""
    if not server.is_zombie():
        ORDERS["kill"](server)
        return ACTIONS["kill"].done
    reclaimed = remove_dead(server)
    return None if reclaimed is None else removed(reclaimed)


def removed(reclaimed: dict[str, int]) -> str:
    """Say what became of the work of a server that has been removed."""
    requeued, failed = reclaimed["requeued"], reclaimed["failed"]
    work = counted(requeued, "job or slice", "jobs and slices")
    text = f"has been removed; {work} that it ran {'is' if requeued == 1 else 'are'} queued again"
    if failed:
        text += f", {counted(failed, 'job')} failed: their workers died too often"
    return text


def _link(server: Server, action: ServerAction) -> str | None:
    return None if action.name == "destroy" else f"/servers/{server.id}"


def _question(view: View, action: ServerAction) -> Question:
    server: Server = view.target
    state = shown_state(server)
    page = f"/servers/{server.id}"
    asked = _worded(action, state)
    return Question(
        action=asked,
        title=asked.asks or f"{asked.title} this server?",
        path=f"{page}/{action.name}",
        back=back_after(view, page, "/servers" if action.name == "destroy" else None),
        subject=server.name,
        state=state,
        texts=_does(action, server, state),
        hidden={"state": state, **_passed(view, action)},
        inputs=action.inputs,
    )


def _passed(view: View, action: ServerAction) -> dict[str, str]:
    asked = {name: view.form.get(name) or view.query.get(name, "") for name in action.passes}
    return {name: text[:50] for name, text in asked.items() if text}


def _does(action: ServerAction, server: Server, state: str) -> tuple[str, ...]:
    if action.name != "destroy":
        return (action.does,)
    if state != "zombie":
        return (
            "It still sends its heartbeat: what it runs will be killed, and queued again.",
            "Left alone it ends by itself, when what it runs is done or the grace period is over.",
        )
    last = f"was {relative(server.heartbeat_at)}" if server.heartbeat_at else "never came"
    return (
        f"Its last heartbeat {last}. What it ran is queued again, and it is taken off the list.",
        "Should it live after all, it is told to end at once.",
    )


def _too_late(view: View, action: ServerAction) -> Response:
    server: Server = view.target
    current = Server.where(id=server.id).first()
    how = f"is {shown_state(current)}" if current else "has ended"
    view.say("warning", f"{action.title}: nothing was done. {server.name} {how}")
    return view.go(view.back("/servers"))
