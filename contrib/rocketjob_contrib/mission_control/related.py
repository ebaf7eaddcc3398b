"""Links between jobs, and between jobs and what had them created: both ways, as pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import ObjectId
from markupsafe import Markup

from rocketjob import Job
from rocketjob.base.passwords import without_passwords
from rocketjob.jobs import origin
from rocketjob.jobs.shown import listed
from rocketjob.store import Filter
from rocketjob_contrib.mission_control.templating import code, shortened

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def origin_of(view: View, job: Job) -> list[tuple[str, Any]]:
    """Return in which job a job was created, and for what, as links where these are stored."""
    pairs: list[tuple[str, Any]] = []
    if job.created_in is not None:
        pairs.append(("Created in", _creator(view, job.created_in)))
    if job.created_for is not None:
        pairs.append(("Created for", _cause(view, job.created_for)))
    return pairs


def created(filter: Filter, search: str) -> dict[str, Any]:
    """Return the newest jobs of a filter, and whether there are more, for `jobs/created.html`.

    Args:
        search: what finds all of them, in the search box of jobs.
    """
    jobs = listed(filter, origin.SHOWN + 1)
    more = len(jobs) > origin.SHOWN
    return {"created": jobs[: origin.SHOWN], "more": more, "search": search}


def _creator(view: View, id: ObjectId) -> Markup:
    name = origin.class_of(id)
    if name is None:
        return Markup('{} <span class="muted">not stored any more</span>').format(code(id))
    return _link(view, f"/jobs/{id}", name)


def _cause(view: View, created_for: str) -> Markup:
    kind, id = origin.parts_of(created_for)
    found = page_of(view, created_for)
    if found is not None:
        return _link(view, *found)
    return Markup("{} {}").format(kind.replace("_", " "), code(id))


def page_of(view: View, created_for: str) -> tuple[str, str] | None:
    """Return the path and the title of what had a job created, if there is a page of it."""
    kind, id = origin.parts_of(created_for)
    for section in view.site.sections:
        if kind in section.origins and (found := section.origins[kind](id)) is not None:
            return found
    return None


def _link(view: View, path: str, title: str) -> Markup:
    name = shortened(without_passwords(title), 100)
    return Markup('<a href="{}">{}</a>').format(view.url(path), name)
