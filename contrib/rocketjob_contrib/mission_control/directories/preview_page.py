"""The preview of an entry: what the servers say of the files that match it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from rocketjob_contrib.mission_control.directories.finding import called
from rocketjob_plugins.dirmon import preview
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SECONDS = 2.0  # that servers have to answer


def show(view: View) -> Response:
    """Ask the servers, and show what they answer."""
    entry: DirmonEntry = view.target
    previews, missing = preview.ask_for(entry, SECONDS)
    return view.render(
        "directories/preview.html",
        entry=entry,
        name=called(entry),
        pattern=view.shown(entry.pattern),
        previews=previews,
        missing=missing,
        actions=preview.ACTIONS,
    )
