"""The page of an entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job
from rocketjob.base.passwords import HIDDEN
from rocketjob.jobs import origin
from rocketjob.model.encrypted_fields import Sealed
from rocketjob_contrib.mission_control import related
from rocketjob_contrib.mission_control.directories.actions import actions_for
from rocketjob_contrib.mission_control.directories.finding import called, problem_of
from rocketjob_contrib.mission_control.templating import code, moment
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.dirmon.intake import KIND
from rocketjob_plugins.dirmon.job import DirmonJob

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def show(view: View) -> Response:
    """Show an entry."""
    entry: DirmonEntry = view.target
    created_for = origin.link(KIND, entry.id)
    return view.render(
        "directories/entry.html",
        entry=entry,
        name=called(entry),
        actions=actions_for(view, entry),
        facts=_facts(view, entry),
        properties=shown_properties(view, entry.job_class, entry.properties),
        problem=problem_of(entry),
        jobs=related.created(origin.of_link(created_for), f'created_for:"{created_for}"'),
        is_watched=not entry.is_enabled or _is_scanned(),
    )


def _facts(view: View, entry: DirmonEntry) -> list[tuple[str, Any]]:
    facts = [
        ("Job class", entry.job_class_name),
        ("Pattern", entry.pattern and code(view.shown(entry.pattern))),
        ("Archive directory", view.shown(entry.archive_directory)),
        ("Encoding", entry.encoding),
        ("Created", moment(view, entry.created_at)),
        ("ID", code(entry.id)),
    ]
    return [(name, value) for name, value in facts if value]


def shown_properties(view: View, job_class: type[Job] | None, properties: Any) -> dict[str, Any]:
    """Return properties by name, without what the job's class encrypts."""
    if not isinstance(properties, Mapping):
        return {}
    fields = job_class.fields() if job_class else {}
    return {
        name: HIDDEN
        if isinstance(value, Sealed) or (name in fields and fields[name].encrypted)
        else view.shown(value)
        for name, value in sorted(properties.items())
    }


def _is_scanned() -> bool:
    return DirmonJob.where({"state": {"$in": ["queued", "running"]}}).exists()
