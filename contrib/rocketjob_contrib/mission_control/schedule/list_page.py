"""The list of series: in words, when next, what became of the last runs, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.jobs.shown import load
from rocketjob_contrib.mission_control.jobs import edit
from rocketjob_contrib.mission_control.jobs.actions import ACTIONS, Action, actions_for
from rocketjob_contrib.mission_control.jobs.finding import BUILT_IN
from rocketjob_contrib.mission_control.lists import Column, Count, Listing, asked_of, found_among
from rocketjob_contrib.mission_control.run_times import TIMES, RunTime, run_times
from rocketjob_contrib.mission_control.schedule import guardians
from rocketjob_contrib.mission_control.schedule.finding import series_of
from rocketjob_plugins.cron.schedules import declared_schedules
from rocketjob_plugins.cron.series import MISSED, Series

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LISTING = Listing(
    (
        Column("name", "What", "title"),
        Column("words", "When"),
        Column("next", "Next run", "next"),
        Column("last", "Last runs", "last"),
        Column("actions", "Actions"),
    ),
    ("next", "title"),
    ("title", "words", "expression"),
)
OFFERED = tuple(ACTIONS[event] for event in ("run_now", "pause", "resume"))
NEVER = datetime.max.replace(tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Row:
    """One series in the list."""

    series: Series
    actions: tuple[Action, ...]
    may_edit: bool
    times: tuple[RunTime, ...]

    @property
    def id(self) -> str:
        return str(self.series.stored["_id"])

    @property
    def icon(self) -> str:
        return "scheduled" if self.series.state == "queued" else self.series.state

    @property
    def missed(self) -> str:
        count = self.series.missed()
        return f"{count}{'+' if count == MISSED else ''}" if count else ""


def show(view: View) -> Response:
    """Show the list."""
    found = series_of(view)
    asked, total = asked_of(LISTING, view.query), Count(len(found.series), more=not found.is_all)
    page = found_among(asked, found.series, _field, total)
    remark = None if found.is_all else "There may be more: only the jobs that run next are shown."
    page = attrs.evolve(page, rows=[_row(view, each) for each in page.rows], remark=remark)
    return view.render(
        "schedule/list.html",
        found=page,
        guardians=guardians.missing(view),
        missing=not_stored(view),
    )


def not_stored(view: View) -> list[str]:
    """Return the schedules that the classes loaded here declare, and that nothing runs by."""
    found = series_of(view)
    return list(_not_stored(found.series)) if found.is_all else []


def _field(series: Series, name: str) -> Any:
    if name == "_id":
        return str(series.stored["_id"])
    if name == "title":
        return f"{series.class_name} {series.name or ''}"
    if name == "next":
        return NEVER if series.is_paused else series.run_at or series.now
    if name == "last":
        return series.last.ended_at if series.last else None
    return getattr(series, name)


def _row(view: View, series: Series) -> Row:
    job = load(series.stored, read=series.stored, relied_on=BUILT_IN)
    zone = series.zone or view.zone
    return Row(
        series=series,
        actions=tuple(actions_for(view, job, OFFERED)),
        may_edit=edit.may_edit(view, job) and view.site.has("/jobs/{id}/schedule"),
        times=tuple(run_times(series.next_times(TIMES), zone, view.zone, view.now)),
    )


def _not_stored(series: list[Series]) -> Iterator[str]:
    for declared in declared_schedules():
        classes, names = declared.job_class.stored_names(), declared.names()
        if not any(
            each.class_name in classes
            and (
                each.stored.get("schedule_name") in names
                or (
                    each.stored.get("schedule_name") is None
                    and each.expression == declared.cron_schedule
                )
            )
            for each in series
        ):
            yield declared.name
