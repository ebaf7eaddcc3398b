"""What can be done with an entry: asked first, and done only as it was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict, ValidationError
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.steering import destroy_as_read, may
from rocketjob_contrib.mission_control.asking import Action, Question, ask, back_after
from rocketjob_contrib.mission_control.directories.finding import called
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")
_ALL = (
    Action(
        name="enable",
        title="Enable",
        icon="enabled",
        done="is enabled: a job is created for each file that matches",
        does="From then on a job is created for each file that matches, those that are there now "
        "among them.",
    ),
    Action(
        name="disable",
        title="Disable",
        icon="disabled",
        done="is disabled: no more files are looked for",
        does="No more files are looked for. The jobs that were created stay.",
    ),
    Action(
        name="destroy",
        title="Destroy",
        icon="destroy",
        done="has been destroyed",
        does="The entry is removed. Files and jobs stay.",
        is_dangerous=True,
    ),
)
ACTIONS = {action.name: action for action in _ALL}


def actions_for(view: View, entry: DirmonEntry) -> list[Action]:
    """Return what whoever looks may do with an entry in its present state."""
    return [
        action
        for action in _ALL
        if may(entry, action.name) and view.may(f"entries.{action.name}", entry)
    ]


def asking(action: Action) -> Callable[[View], Response]:
    """Return the view that asks whether an action is meant."""

    def show(view: View) -> Response:
        entry: DirmonEntry = view.target
        if not may(entry, action.name):
            return _refused(view, action, f"{called(entry)} is {entry.state}")
        question = Question(
            action=action,
            title=f"{action.title} this entry?",
            path=f"/dirmon_entries/{entry.id}/{action.name}",
            back=_back(view, action),
            subject=called(entry),
            state=entry.state,
            texts=(view.shown(entry.pattern), action.does),
            hidden={"state": entry.state},
        )
        return ask(view, question)

    return show


def doing(action: Action) -> Callable[[View], Response]:
    """Return the view that makes an action, if the entry is still as it was shown."""

    def do(view: View) -> Response:
        entry: DirmonEntry = view.target
        name = called(entry)
        if view.form.get("state", entry.state) != entry.state or not may(entry, action.name):
            return _refused(view, action, f"{name} is {entry.state}")
        try:
            destroy_as_read(entry) if action.name == "destroy" else getattr(entry, action.name)()
        except (InvalidTransition, StateConflict):
            now = DirmonEntry.where(id=entry.id).first()
            return _refused(view, action, f"{name} is {now.state if now else 'gone'}")
        except ValidationError as error:
            return _refused(view, action, f"{name} is not right: {message_of(error)}")
        except NotFound as error:
            raise Missing(f"{name} is gone: nothing was done", "/dirmon_entries") from error
        note(view, action.name, entry)
        link = None if action.name == "destroy" else f"/dirmon_entries/{entry.id}"
        view.say("success", f"{name} {action.done}", link)
        return view.go(_back(view, action))

    return do


def note(view: View, action: str, entry: DirmonEntry) -> None:
    """Log who has done what with an entry."""
    log.info(
        "an entry was changed by hand",
        action=action,
        entry_id=str(entry.id),
        entry=called(entry),
        login=view.identity.login or "",
    )


def _back(view: View, action: Action) -> str:
    gone = "/dirmon_entries" if action.name == "destroy" else None
    return back_after(view, f"/dirmon_entries/{view.target.id}", gone)


def _refused(view: View, action: Action, why: str) -> Response:
    page = f"/dirmon_entries/{view.target.id}"
    view.say("danger", view.shown(f"{action.title}: nothing was done. {why}"), page)
    return view.go(view.back(page))
