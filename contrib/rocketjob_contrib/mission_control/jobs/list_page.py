"""The page of a list of jobs, and the same rows as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from rocketjob import Job
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.jobs import rows, tabs
from rocketjob_contrib.mission_control.jobs.tabs import JobTab
from rocketjob_contrib.mission_control.lists import COUNTED, SIZES, Asked, Count, Found, asked_of

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
        found = find(view, tab, _asked_by_table(tab, view))
        return JSONResponse(
            {
                "draw": _number(view, "draw", 0),
                "recordsTotal": found.total.number,
                "recordsFiltered": found.matching.number,
                "data": [_as_json(row) for row in found.rows],
            }
        )

    return show


def _asked_by_table(tab: JobTab, view: View) -> Asked:
    size, start = _number(view, "length", SIZES[0]), _number(view, "start", 0)
    size = COUNTED if size == -1 else size
    if not 1 <= size <= COUNTED or start < 0:
        raise BadRequest(f"length must be from 1 to {COUNTED}, or -1; start 0 or more")
    query = {"q": view.query.get("search[value]", view.query.get("q", ""))}
    index = view.query.get("order[0][column]")
    if index is not None:
        query["sort"] = _column_of_table(tab, view, index)
    asked = asked_of(tab.listing, query)
    return Asked(tab.listing, asked.text, asked.sorting, start // size + 1, size)


def _column_of_table(tab: JobTab, view: View, index: str) -> str:
    if not (index.isdecimal() and int(index) < len(tab.listing.columns)):
        raise BadRequest(
            f"There is no column {index[:20]}: a list here has {len(tab.listing.columns)}"
        )
    down = "-" if view.query.get("order[0][dir]") == "desc" else ""
    return down + tab.listing.columns[int(index)].key


def _number(view: View, name: str, default: int) -> int:
    text = view.query.get(name, "")
    try:
        return int(text[:10]) if text else default
    except ValueError:
        raise BadRequest(f"{name} must be a number, not {text[:50]}") from None


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
