"""The page of a list of jobs, and the same rows as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob import Job
from rocketjob_contrib.mission_control.jobs import rows, tabs
from rocketjob_contrib.mission_control.jobs.tabs import JobTab
from rocketjob_contrib.mission_control.lists import COUNTED, Asked, Count, Found, asked_of
from rocketjob_contrib.mission_control.tables import as_table, asked_by_table

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def page_of(tab: JobTab) -> Callable[[View], Response]:
    """Return the view of a list."""

    def show(view: View) -> Response:
        found = find(view, tab, asked_of(tab.listing, view.query))
        return view.render("jobs/list.html", tab=tab, found=found)

    return show


def find(view: View, tab: JobTab, asked: Asked) -> Found:
    """Return a page of a list."""
    query = tab.query()
    searched = asked.search_filter()
    if searched is not None:
        query = query.where(searched)
    total = tabs.total(view, tab)
    matching = total if searched is None else Count.of(query.count(at_most=COUNTED + 1))
    documents = list(
        Job.collection().find(
            query.filter(),
            rows.fields_of(tab),
            sort=[(name.lstrip("-"), -1 if name[0] == "-" else 1) for name in asked.order],
            skip=asked.skip,
            limit=asked.size + 1,
        )
    )
    shown = rows.rows_of(view, documents[: asked.size])
    return Found(asked, shown, total, matching, len(documents) > asked.size)


def json_of(tab: JobTab) -> Callable[[View], Response]:
    """Return the view of a list as JSON, in the form that tables of the Ruby version asked for."""

    def show(view: View) -> Response:
        found = find(view, tab, asked_by_table(tab.listing, view.query))
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
        "record_count": row.field("record_count") or 0,
        "percent_complete": row.progress.percent,
        "workers": row.progress.workers,
        "throttled_by": row.field("throttled_by"),
        "actions": [action.event for action in row.actions],
    }
