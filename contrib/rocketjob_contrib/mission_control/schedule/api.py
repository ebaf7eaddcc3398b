"""Schedules by the API: every series, with its next and last runs.

What is done with one is done with the job that it gives: `run_now`, `pause`, `resume`, and its
field `cron_schedule`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rocketjob_contrib.mission_control.api import cursors
from rocketjob_contrib.mission_control.api.operations import PAGED, Operation, operation
from rocketjob_contrib.mission_control.api.schemas import page_of
from rocketjob_contrib.mission_control.run_times import TIMES
from rocketjob_contrib.mission_control.schedule.finding import series_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView
    from rocketjob_plugins.cron.series import Series


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
    ]


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
