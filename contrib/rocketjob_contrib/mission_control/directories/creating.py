"""The forms that make an entry: of nothing, and of another entry. It starts pending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob.base.errors import RocketJobError
from rocketjob_contrib.mission_control.directories import form, preview_page
from rocketjob_contrib.mission_control.directories.actions import note
from rocketjob_contrib.mission_control.directories.finding import called
from rocketjob_contrib.mission_control.directories.form import EntryForm, read_form
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SHOW = "show"  # the button that asks for the fields of the class, and stores nothing
COPIED = ("name", "pattern", "job_class_name", "properties", "archive_directory", "encoding")


def show(view: View) -> Response:
    """Show the form of a new entry."""
    entry = DirmonEntry(pattern="", job_class_name=view.query.get("job_class_name", "")[:500])
    return _render(view, _form(view, entry, Form())[0])


def create(view: View) -> Response:
    """Store a new entry, or show the form again."""
    return _create(view, DirmonEntry(pattern="", job_class_name=""))


def show_copy(view: View) -> Response:
    """Show the form of a new entry, filled from another."""
    return _render(view, _form(view, copy_of(view.target), Form())[0], view.target)


def copy(view: View) -> Response:
    """Store a second entry; the first stays as it is."""
    return _create(view, copy_of(view.target), view.target)


def copy_of(entry: DirmonEntry) -> DirmonEntry:
    """Return a new entry, filled from another."""
    values = {name: getattr(entry, name) for name in COPIED}
    return DirmonEntry(**{**values, "name": f"{entry.name} copy" if entry.name else None})


def _form(view: View, entry: DirmonEntry, posted: Form) -> tuple[EntryForm, dict[str, object]]:
    return read_form(view, entry, posted, with_class=True, is_new=True)


def _create(view: View, entry: DirmonEntry, original: DirmonEntry | None = None) -> Response:
    filled, values = _form(view, entry, view.form)
    if SHOW in view.form:
        name = str(values.get("job_class_name", entry.job_class_name))
        problem = form.class_problem(name)
        errors = {"job_class_name": [problem]} if problem else {}
        return _render(view, form.with_messages(filled, errors), original)
    previewed = preview_page.of_form(view, entry, values)
    if previewed is not None:
        return _render(view, filled, original, previewed=previewed)
    if filled.has_errors:
        return _render(view, filled, original, 422)
    try:
        for name, value in values.items():
            setattr(entry, name, value)
        entry.save()
    except (RocketJobError, ValueError, TypeError) as error:
        return _render(view, form.refused(filled, error), original, 422)
    note(view, "copy" if original else "create", entry)
    page = f"/dirmon_entries/{entry.id}"
    view.say("success", f"{called(entry)} is stored, and pending until it is enabled")
    return view.go(page)


def _render(
    view: View,
    filled: EntryForm,
    original: DirmonEntry | None = None,
    status: int = 200,
    previewed: dict[str, Any] | None = None,
) -> Response:
    return view.render(
        "directories/form.html",
        status,
        form=filled,
        is_refused=status != 200,
        title=f"Copy {called(original)}" if original else "Create an entry",
        button="Create the copy" if original else "Create",
        post=f"/dirmon_entries/{original.id}/replicate" if original else "/dirmon_entries",
        back=f"/dirmon_entries/{original.id}" if original else "/dirmon_entries",
        entry=None,
        previewed=previewed,
    )
