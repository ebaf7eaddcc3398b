"""The form that changes an entry: saved only as it was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.errors import NotFound, RocketJobError
from rocketjob.jobs.steering import Overtaken, edit
from rocketjob_contrib.mission_control.directories import form, preview_page
from rocketjob_contrib.mission_control.directories.actions import note
from rocketjob_contrib.mission_control.directories.finding import called
from rocketjob_contrib.mission_control.directories.form import EntryForm, form_of, read_form
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

AGAIN = "It was changed at the same moment: save it again."


def show(view: View) -> Response:
    """Show the form."""
    entry: DirmonEntry = view.target
    return _render(view, entry, form_of(view, entry, with_class=False))


def save(view: View) -> Response:
    """Save what was typed, or show it again with what is wrong."""
    entry: DirmonEntry = view.target
    page = f"/dirmon_entries/{entry.id}"
    filled, values = read_form(view, entry, view.form, with_class=False)
    previewed = preview_page.of_form(view, entry, values)
    if previewed is not None:
        return _render(view, entry, filled, previewed=previewed)
    if filled.is_stale or filled.has_errors:
        return _render(view, entry, filled, 409 if filled.is_stale else 422)
    name = called(entry)
    if not values:
        view.say("success", f"{name}: nothing was changed")
        return view.go(page)
    try:
        edit(entry, values)
    except Overtaken:
        return _overtaken(view)
    except NotFound as error:
        raise Missing(f"{name} is gone: nothing was saved", "/dirmon_entries") from error
    except (RocketJobError, ValueError, TypeError) as error:
        return _render(view, entry, form.refused(filled, error), 422)
    note(view, "edit", entry)
    changed = ", ".join(name.replace("_", " ") for name in values)
    view.say("success", f"{called(entry)} is saved: {changed}")
    return view.go(page)


def _overtaken(view: View) -> Response:
    """Read the entry again: what somebody else has stored stands beside what was typed."""
    entry = DirmonEntry.find(view.target.id)
    filled, _ = read_form(view, entry, view.form, with_class=False)
    problems = filled.problems if filled.is_stale else (*filled.problems, AGAIN)
    return _render(view, entry, attrs.evolve(filled, problems=problems), 409)


def _render(
    view: View,
    entry: DirmonEntry,
    filled: EntryForm,
    status: int = 200,
    previewed: dict[str, Any] | None = None,
) -> Response:
    page = f"/dirmon_entries/{entry.id}"
    return view.render(
        "directories/form.html",
        status,
        form=filled,
        is_refused=status != 200,
        title=f"Edit {called(entry)}",
        button="Save",
        post=page,
        back=page,
        entry=entry,
        previewed=previewed,
    )
