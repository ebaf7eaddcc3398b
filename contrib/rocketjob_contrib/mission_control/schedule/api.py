"""Schedules by the API: every series, with its next and last runs.

What is done with one is done with the job that it gives: `run_now`, `pause`, `resume`, and its
field `cron_schedule`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.problems import Fault, Problem
from rocketjob_contrib.mission_control.api.schemas import (
    FLAG,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    choice,
    maybe,
    page_of,
    resource,
    several,
    text,
)
from rocketjob_contrib.mission_control.run_times import TIMES
from rocketjob_contrib.mission_control.schedule import (
    calendar_page,
    guardians,
    list_page,
    preview_page,
)
from rocketjob_contrib.mission_control.schedule.finding import series_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView
    from rocketjob_plugins.cron.series import Series

NAMED: dict[str, Schema] = {"job_id": TEXT, "class": TEXT, "name": maybe(TEXT)}
CALENDAR = resource(
    total=WHOLE,
    hours=several(resource(at=TIME, classes={"type": "object", "additionalProperties": WHOLE})),
    series=several(resource(**NAMED, times=several(TIME), is_cut=FLAG)),
    paused=several(resource(**NAMED)),
)
MISSING = resource(
    jobs=several(resource(**{"class": TEXT, "is_paused": FLAG, "why": TEXT})),
    schedules=several(TEXT),
)
PREVIEW = resource(
    expression=TEXT,
    words=TEXT,
    next=several(resource(at=TIME, local=TEXT, note=TEXT)),
)


def operations() -> list[Operation]:
    """Return the operations."""
    return [
        operation(
            "GET /schedule",
            listing,
            "list_schedule",
            "List every series of runs, by when it runs next.",
            query=PAGED,
            returns=page_of("Series"),
        ),
        *(_calendar(name, hours) for name, hours in (("day", 24), ("week", 7 * 24))),
        operation(
            "GET /schedule/missing",
            missing,
            "get_missing_schedules",
            "Return what should run by a schedule and does not: jobs that keep the system going, "
            "which `POST /schedule/create` creates, and schedules that classes declare.",
            returns=MISSING,
        ),
        operation(
            "GET /schedule/preview",
            preview,
            "preview_schedule",
            "Say what an expression means, and when it would run next.",
            query={"expression": text(500, least=1), "dst": choice("safe", "literal")},
            returns=PREVIEW,
        ),
    ]


def _calendar(name: str, hours: int) -> Operation:
    return operation(
        f"GET /schedule/{name}",
        lambda view: calendar(view, hours),
        f"get_schedule_of_{name}",
        f"Return the runs of the next {name}: how many in each hour, and those of each series.",
        returns=CALENDAR,
    )


def calendar(view: ApiView, hours: int) -> Response:
    """Return the runs of the next hours."""
    found = calendar_page.calendar_of(view, hours)
    return view.json(
        {
            "total": found.total,
            "hours": [{"at": hour.at, "classes": dict(hour.classes)} for hour in found.hours],
            "series": [_lane(lane) for lane in found.lanes],
            "paused": [_named(series) for series in found.paused],
        }
    )


def _lane(lane: calendar_page.Lane) -> dict[str, Any]:
    return {**_named(lane.series), "times": lane.times, "is_cut": lane.is_cut}


def _named(series: Series) -> dict[str, Any]:
    id = str(series.stored["_id"])
    return {"job_id": id, "class": series.class_name, "name": series.name}


def missing(view: ApiView) -> Response:
    """Return what should run by a schedule and does not."""
    jobs = [
        {"class": each.name, "is_paused": each.is_paused, "why": each.why}
        for each in guardians.missing(view)
    ]
    return view.json({"jobs": jobs, "schedules": list_page.not_stored(view)})


def preview(view: ApiView) -> Response:
    """Say what an expression means."""
    found = preview_page.asked(view)
    if found.problem is not None:
        raise Problem(400, f"expression {found.problem}", [Fault("expression", found.problem)])
    times = [{"at": each.at, "local": each.local, "note": each.changed} for each in found.times]
    return view.json({"expression": found.expression, "words": found.words, "next": times})


def listing(view: ApiView) -> Response:
    """List the series."""
    return cursors.page_of_few(view, "schedule", series_of(view).series, _series)


def _series(series: Series) -> dict[str, Any]:
    last = series.last
    overdue = series.overdue
    return {
        "job_id": str(series.stored["_id"]),
        "class": series.class_name,
        "name": series.name,
        "state": series.state,
        "cron_schedule": series.expression,
        "words": series.words,
        "problem": series.problem,
        "time_zone": None if series.zone is None else str(series.zone),
        "next": [] if series.is_paused else series.next_times(TIMES),
        "overdue_seconds": None if overdue is None else overdue.total_seconds(),
        "missed": series.missed(),
        "last": None
        if last is None
        else {"state": last.state, "ended_at": last.ended_at, "seconds": last.seconds},
    }
