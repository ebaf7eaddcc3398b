"""What can be done with an entry: asked first, and done only as it was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from starlette.responses import Response

from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict, ValidationError
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.steering import destroy_as_read
from rocketjob_contrib.mission_control.asking import Question, ask
from rocketjob_contrib.mission_control.directories.finding import called
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
EVERY_STATE = ("pending", "enabled", "disabled", "failed")


@attrs.frozen(kw_only=True)
class Action:
    """One thing that can be done with an entry.

    Attributes:
        event: of the entry, or `destroy`.
        done: what the message afterwards says of the entry.
        does: what people must know before.
        states: in which it makes sense.
    """

    event: str
    title: str
    icon: str
    done: str
    does: str
    states: tuple[str, ...]
    is_dangerous: bool = False


_ALL = (
    Action(
        event="enable",
        title="Enable",
        icon="enabled",
        done="is enabled: a job is created for each file that matches",
        does="From then on a job is created for each file that matches, those that are there now "
        "among them.",
        states=("pending", "disabled", "failed"),
    ),
    Action(
        event="disable",
        title="Disable",
        icon="disabled",
        done="is disabled: no more files are looked for",
        does="No more files are looked for. The jobs that were created stay.",
        states=("enabled", "failed"),
    ),
    Action(
        event="destroy",
        title="Destroy",
        icon="destroy",
        done="has been destroyed",
        does="The entry is removed. Files and jobs stay.",
        states=EVERY_STATE,
        is_dangerous=True,
    ),
)
ACTIONS = {action.event: action for action in _ALL}


def actions_for(view: View, entry: DirmonEntry) -> list[Action]:
    """Return what whoever looks may do with an entry in its present state."""
    return [
        action
        for action in _ALL
        if entry.state in action.states and view.may(f"entries.{action.event}", entry)
    ]


def asking(action: Action) -> Callable[[View], Response]:
    """Return the view that asks whether an action is meant."""

    def show(view: View) -> Response:
        entry: DirmonEntry = view.target
        if entry.state not in action.states:
            return _refused(view, action, f"{called(entry)} is {entry.state}")
        question = Question(
            title=f"{action.title} this entry?",
            path=f"/dirmon_entries/{entry.id}/{action.event}",
            button=action.title,
            icon=action.icon,
            subject=view.shown(called(entry)),
            state=entry.state,
            texts=(view.shown(entry.pattern), action.does),
            hidden={"state": entry.state},
            back=_back(view, action),
            is_dangerous=action.is_dangerous,
        )
        return ask(view, question)

    return show


def doing(action: Action) -> Callable[[View], Response]:
    """Return the view that makes an action, if the entry is still as it was shown."""

    def do(view: View) -> Response:
        entry: DirmonEntry = view.target
        name = view.shown(called(entry))
        if view.form.get("state", entry.state) != entry.state or entry.state not in action.states:
            return _refused(view, action, f"{name} is {entry.state}")
        try:
            destroy_as_read(entry) if action.event == "destroy" else getattr(entry, action.event)()
        except (InvalidTransition, StateConflict):
            now = DirmonEntry.where(id=entry.id).first()
            return _refused(view, action, f"{name} is {now.state if now else 'gone'}")
        except ValidationError as error:
            return _refused(view, action, f"{name} is not right: {message_of(error)}")
        except NotFound as error:
            raise Missing(f"{name} is gone: nothing was done", "/dirmon_entries") from error
        note(view, action.event, entry)
        link = None if action.event == "destroy" else f"/dirmon_entries/{entry.id}"
        view.say("success", f"{name} {action.done}", link)
        return view.go(_back(view, action))

    return do


def note(view: View, action: str, entry: DirmonEntry) -> None:
    """Log who has done what with an entry."""
    log.info(
        "an entry was changed by hand",
        action=action,
        entry_id=str(entry.id),
        entry=view.shown(called(entry)),
        login=view.identity.login or "",
    )


def _back(view: View, action: Action) -> str:
    page = f"/dirmon_entries/{view.target.id}"
    back = view.back(page)
    is_gone = action.event == "destroy" and back.partition("?")[0] == page
    return "/dirmon_entries" if is_gone else back


def _refused(view: View, action: Action, why: str) -> Response:
    page = f"/dirmon_entries/{view.target.id}"
    view.say("danger", f"{action.title}: nothing was done. {why}", page)
    return view.go(view.back(page))
