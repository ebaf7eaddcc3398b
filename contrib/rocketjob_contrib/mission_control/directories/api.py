"""Entries of directory monitors by the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.base.errors import NotFound, RocketJobError, ValidationError
from rocketjob.base.passwords import HIDDEN, without_passwords
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.steering import Overtaken, edit
from rocketjob.model.record import record_of
from rocketjob_contrib.mission_control.api import cursors, guards
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation, shown_at
from rocketjob_contrib.mission_control.api.problems import Fault, Problem, invalid
from rocketjob_contrib.mission_control.api.schemas import (
    FREE,
    Schema,
    body,
    choice,
    maybe,
    page_of,
    pointer,
    ref,
    text,
)
from rocketjob_contrib.mission_control.asking import Action
from rocketjob_contrib.mission_control.code_fields import code_problem
from rocketjob_contrib.mission_control.directories import actions, creating, preview_page
from rocketjob_contrib.mission_control.directories.entry_page import shown_properties
from rocketjob_contrib.mission_control.directories.finding import (
    called,
    entry_in_path,
    problem_of,
    shown,
)
from rocketjob_contrib.mission_control.directories.finding import usable_entry_in_path as usable
from rocketjob_contrib.mission_control.directories.form import job_class_called
from rocketjob_contrib.mission_control.directories.list_page import TABS
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_plugins.dirmon.entry import STATES, DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

LINE, PATH = text(200), text(4096, least=1)
REASON = text(500)
FIELDS: dict[str, Schema] = {
    "name": maybe(LINE),
    "pattern": PATH,
    "properties": FREE,
    "archive_directory": PATH,
    "encoding": maybe(LINE),
    "reason": REASON,
}
ONE, PAGES = "/entries/{id}", "/dirmon_entries/{id}"


def operations() -> list[Operation]:
    """Return the operations."""
    return [*_reading(), *_writing(), *(_action(each) for each in _actions())]


def _reading() -> list[Operation]:
    return [
        operation(
            "GET /entries",
            listing,
            "list_entries",
            "List entries, the newest first.",
            query={"state": choice(*STATES), **PAGED},
            returns=page_of("Entry"),
            pages=shown_at(*(tab.path for tab in TABS)),
        ),
        operation(
            f"GET {ONE}",
            show,
            "get_entry",
            "Return an entry.",
            target=entry_in_path,
            returns=ref("Entry"),
            has_etag=True,
            pages=("/dirmon_entries/{id}",),
        ),
        operation(
            f"GET {ONE}/preview",
            preview,
            "preview_entry",
            "Ask the servers which files match now, and why some yield no job.",
            permission="entries.preview",
            target=usable,
            returns=ref("Preview"),
            pages=("/dirmon_entries/{id}/preview",),
        ),
    ]


def _writing() -> list[Operation]:
    made: dict[str, Any] = {"returns": ref("Entry"), "status": 201, "has_etag": True}
    return [
        operation(
            "POST /entries",
            create,
            "create_entry",
            "Store an entry; it is pending until it is enabled.",
            permission="entries.create",
            body=body(("pattern", "job_class_name"), job_class_name=text(500, least=1), **FIELDS),
            pages=("/dirmon_entries",),
            **made,
        ),
        operation(
            f"PATCH {ONE}",
            update,
            "update_entry",
            "Change an entry. Of its properties only those that are named; null removes one.",
            permission="entries.edit",
            target=usable,
            body=body((), **FIELDS),
            match="may",
            returns=ref("Entry"),
            has_etag=True,
            pages=(PAGES,),
        ),
        operation(
            f"POST {ONE}/copy",
            copy,
            "copy_entry",
            "Store a second entry like this one, with what is given instead.",
            permission="entries.copy",
            target=usable,
            body=body(("pattern",), **FIELDS),
            pages=(f"{PAGES}/replicate",),
            **made,
        ),
        operation(
            f"DELETE {ONE}",
            doing(actions.ACTIONS["destroy"]),
            "delete_entry",
            "Remove an entry; files and jobs stay.",
            permission="entries.destroy",
            target=entry_in_path,
            match="may",
            pages=(f"{PAGES}/destroy",),
        ),
    ]


def _actions() -> list[Action]:
    return [action for action in actions.ACTIONS.values() if action.name != "destroy"]


def _action(action: Action) -> Operation:
    return operation(
        f"POST {ONE}/{action.name}",
        doing(action),
        f"{action.name}_entry",
        action.does,
        permission=f"entries.{action.name}",
        target=usable if action.name == "enable" else entry_in_path,
        body=body((), state=text(50), reason=REASON),
        match="may",
        returns=ref("Entry"),
        has_etag=True,
        pages=(f"{PAGES}/{action.name}",),
    )


# --- looking -----------------------------------------------------------------------------------


def listing(view: ApiView) -> Response:
    """List entries, the newest first."""
    state, last = view.params.get("state"), cursors.after(view, "entries", cursors.object_id)
    query = DirmonEntry.all() if state is None else DirmonEntry.where(state=state)
    if last is not None:
        query = query.where({"_id": {"$lt": last}})
    page = query.order_by("-_id").limit(cursors.size_of(view) + 1)
    found = [shown(entry) for entry in page]
    return cursors.page(view, "entries", found, lambda e: _entry(view, e), lambda e: e.id)


def show(view: ApiView) -> Response:
    """Return an entry."""
    return _answer(view, view.target)


def _answer(view: ApiView, entry: DirmonEntry, status: int = 200) -> Response:
    location = f"/entries/{entry.id}" if status == 201 else None
    return view.json(_entry(view, entry), status, etag=version_of(entry), location=location)


def _entry(view: ApiView, entry: DirmonEntry) -> dict[str, Any]:
    names = ("name", "pattern", "job_class_name", "archive_directory", "encoding", "created_at")
    error = entry.exception
    return {
        "id": str(entry.id),
        **{name: getattr(entry, name) for name in names},
        "state": entry.state,
        "properties": shown_properties(view, entry.job_class, entry.properties),
        "exception": error and {"class_name": error.class_name, "message": error.message},
        "problem": problem_of(entry),
        "actions": [action.name for action in actions.actions_for(view, entry)],
    }


def version_of(entry: DirmonEntry) -> str:
    """Return what tells whether an entry is still as it was seen: its state and its fields."""
    keys = ("state", *sorted(f.key for f in entry.fields().values() if f.user_editable))
    return guards.version(record_of(entry).stored or {}, keys)


def preview(view: ApiView) -> Response:
    """Ask the servers which files match now."""
    values = view.by_page(preview_page.show).values
    previews = [attrs.asdict(each) for each in values["previews"]]
    return view.json({"previews": previews, "missing": list(values["missing"])})


# --- changing ----------------------------------------------------------------------------------


def doing(action: Action) -> Callable[[ApiView], Response]:
    """Return the view that makes an action, as the page does, if the entry is as it was seen."""
    do = actions.doing(action)

    def answer(view: ApiView) -> Response:
        entry: DirmonEntry = view.target
        guards.must_match(view, version_of(entry), called(entry))
        view.by_page(do, [("state", view.body.get("state"))])
        return view.nothing() if action.name == "destroy" else _now(view)

    return answer


def _now(view: ApiView) -> Response:
    """Return the entry of the path as it is after a change."""
    return _answer(view, entry_in_path(view))


def create(view: ApiView) -> Response:
    """Store an entry."""
    return _create(view, DirmonEntry(pattern="", job_class_name=""), "create")


def copy(view: ApiView) -> Response:
    """Store a second entry; the first stays as it is."""
    return _create(view, creating.copy_of(view.target), "copy")


def _create(view: ApiView, entry: DirmonEntry, what: str) -> Response:
    values = _values(view, entry, known={})
    with _refusing():
        for name, value in values.items():
            setattr(entry, name, value)
        entry.save()
    actions.note(view, what, entry)
    return _answer(view, shown(DirmonEntry.find(entry.id)), 201)


def update(view: ApiView) -> Response:
    """Change an entry, as it was read."""
    entry: DirmonEntry = view.target
    guards.must_match(view, version_of(entry), called(entry))
    present = entry.properties if isinstance(entry.properties, Mapping) else {}
    values = _values(view, entry, known=present)
    if values:
        with _refusing():
            edit(entry, values)
        actions.note(view, "edit", entry)
    return _now(view)


def _values(view: ApiView, entry: DirmonEntry, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are to be set; properties with those that are not named.

    Args:
        known: properties that are stored already: whoever stored them was allowed to.

    Raises:
        Problem: a property stands for a secret, or holds code that is run.
    """
    values = {name: value for name, value in view.body.items() if name != "reason"}
    name = values.get("job_class_name", entry.job_class_name)
    if "properties" in values:
        values["properties"] = _merged(entry.properties, values["properties"])
    properties = values.get("properties", entry.properties)
    if job_class_called(name) and (problem := code_problem(name, properties, known)):
        raise invalid([Fault("#/properties", problem)])
    return values


def _merged(present: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    properties = dict(present) if isinstance(present, Mapping) else {}
    for name, value in given.items():
        if value == HIDDEN or (isinstance(value, str) and _is_hidden(properties.get(name), value)):
            why = f"{HIDDEN} stands for what is hidden: leave it out, or write all of it"
            raise invalid([Fault(pointer("#/properties", name), why)])
        if value is None:
            properties.pop(name, None)
        else:
            properties[name] = value
    return properties


def _is_hidden(stored: Any, given: str) -> bool:
    hidden = without_passwords(stored)
    return bool(hidden != stored and given == hidden)


@contextmanager
def _refusing() -> Iterator[None]:
    """Say what keeps an entry from being stored."""
    try:
        yield
    except ValidationError as error:
        faults = [
            Fault(pointer("#", name), text)
            for name, texts in error.errors.items()
            for text in texts
        ]
        raise Problem(422, str(error), faults) from error
    except Overtaken as error:
        raise Problem(412, str(error)) from error
    except NotFound as error:
        raise Missing(message_of(error)) from error
    except (RocketJobError, ValueError, TypeError) as error:
        raise Problem(422, message_of(error)) from error
