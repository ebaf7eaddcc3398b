"""The page of a list of jobs, and the same rows as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job
from rocketjob.jobs.query import JobQuery
from rocketjob.store import Filter, Stored
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.jobs import rows, searching, tabs, ticked
from rocketjob_contrib.mission_control.jobs.box import box_of
from rocketjob_contrib.mission_control.jobs.briefly import with_reasons
from rocketjob_contrib.mission_control.jobs.suggestions import suggestions
from rocketjob_contrib.mission_control.jobs.tabs import JobTab
from rocketjob_contrib.mission_control.lists import COUNTED, Asked, Count, Found, asked_of
from rocketjob_contrib.mission_control.tables import as_table, asked_by_table
from rocketjob_contrib.mission_control.views import views_for

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def page_of(tab: JobTab) -> Callable[[View], Response]:
    """Return the view of a list."""

    def show(view: View) -> Response:
        asked = asked_of(tab.listing, view.query)
        found = find(view, tab, asked)
        return view.render(
            "jobs/list.html",
            tab=tab,
            found=found,
            box=box_of(view, asked.text),
            offered=ticked.offered(view, tab, [row.job for row in found.rows]),
            words=suggestions(view),
            views=views_for(view),
        )

    return show


def find(view: View, tab: JobTab, asked: Asked) -> Found:
    """Return a page of a list."""
    query, total, remark = tab.query(), tabs.total(view, tab), None
    box = box_of(view, asked.text)
    if box.problem is not None:
        return Found(asked, [], total, Count(0), more=False, refused=True)
    if box.search is not None:
        query = box.search.narrow(query)
    if searching.is_too_much(asked, total.number):
        newest = searching.newest(view, tab, box.search, total.number)
        # Twice negated, it leads no store to an index of states instead of the ids.
        still = {"$nor": [{"$nor": [tab.query().filter()]}]}
        query = Job.where({"$and": [{"_id": {"$in": newest.ids}}, still]})
        matching, remark = Count(len(newest.ids), more=not newest.is_all), newest.remark
    elif box.search is not None:
        matching = Count.of(query.count(at_most=COUNTED + 1))
    else:
        matching = total
    indexed = tab.indexed if total.number > searching.LARGE and remark is None else None
    documents = _documents(tab, query, asked, indexed)
    shown = rows.rows_of(view, documents[: asked.size])
    if tab.says_why:
        shown = with_reasons(view, asked, shown)
    return Found(asked, shown, total, matching, len(documents) > asked.size, remark)


def _documents(
    tab: JobTab, query: JobQuery[Job], asked: Asked, indexed: Filter | None
) -> list[Stored]:
    """Return the jobs of a page, and one more if there is a page after it.

    Args:
        indexed: what the jobs of an index have; those that lack it come last.
    """
    wanted = asked.size + 1
    options: Any = {
        "sort": searching.as_sort(asked.order),
        "skip": asked.skip,
        "limit": wanted,
    }
    find, fields = Job.collection().find, rows.fields_of(tab)
    if indexed is not None:
        found = list(find(query.where(indexed).filter(), fields, **options))
        if len(found) == wanted:
            return found
    return list(find(query.filter(), fields, **options))


def json_of(tab: JobTab) -> Callable[[View], Response]:
    """Return the view of a list as JSON, in the form that tables of the Ruby version asked for."""

    def show(view: View) -> Response:
        asked = asked_by_table(tab.listing, view.query)
        found = find(view, tab, asked)
        if problem := box_of(view, asked.text).problem:
            raise BadRequest(str(problem))
        return as_table(view.query, found, _as_json)

    return show


def _as_json(row: rows.Row) -> dict[str, Any]:
    job = row.job
    return {
        "id": row.id,
        "class": row.class_name,
        "state": row.icon,
        "description": job.description,
        "priority": job.priority,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at and job.started_at.isoformat(),
        "completed_at": job.completed_at and job.completed_at.isoformat(),
        "run_at": job.run_at and job.run_at.isoformat(),
        "record_count": row.record_count,
        "percent_complete": row.progress.percent,
        "workers": row.progress.workers,
        "throttled_by": row.text("throttled_by"),
        "waits": row.waits and row.waits.text,
        "actions": [action.event for action in row.actions],
    }
