"""The preview of an entry: what the servers say of the files that match it now.

It has a page of its own, and a part of the form, where it is of what was typed and not yet stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.directories.finding import called
from rocketjob_contrib.mission_control.templating import moment
from rocketjob_plugins.dirmon import preview
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SECONDS = 2.0  # that servers have to answer
PREVIEW = "preview"  # the button of the form that asks for it, and stores nothing


def show(view: View) -> Response:
    """Ask the servers, and show what they answer."""
    entry: DirmonEntry = view.target
    return view.render(
        "directories/preview.html",
        entry=entry,
        name=called(entry),
        pattern=view.shown(entry.pattern),
        **_asked(view, entry, None),
    )


def of_form(view: View, entry: DirmonEntry, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a form shows of the files that match what was typed; None if nobody asks.

    Args:
        values: of the fields that were typed.
    """
    if PREVIEW not in view.form:
        return None
    if not view.may("entries.preview", entry):
        raise view.refusal("entries.preview")
    draft = {name: values.get(name, getattr(entry, name)) for name in preview.DRAFTED}
    return {"pattern": view.shown(draft["pattern"]), **_asked(view, entry, draft)}


def _asked(view: View, entry: DirmonEntry, draft: Mapping[str, Any] | None) -> dict[str, Any]:
    previews, missing = preview.ask_for(entry, SECONDS, draft)
    return {
        "previews": previews,
        "missing": missing,
        "actions": preview.ACTIONS,
        "moment": moment,
    }
