"""The lists of jobs: one for each state, with its columns and order."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.jobs import holds
from rocketjob.jobs.query import JobQuery
from rocketjob.states.state import State
from rocketjob.store import Filter, context
from rocketjob_contrib.mission_control.indexes import HAS_ENDED
from rocketjob_contrib.mission_control.lists import Column, Count, Listing
from rocketjob_contrib.mission_control.sections import Tab

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SEARCHED = ("_type", "description")
JUST_STARTED = timedelta(seconds=0.1)
"""Jobs that have run for less are mostly about to be held back by a throttle."""

COUNTS = "jobs.counts"
MANY = 100_000  # jobs, which take a while to count
COUNTS_KEPT = 2.0  # seconds

CLASS = Column("class", "Class", "_type")
DESCRIPTION = Column("description", "Description", "description")
RECORDS = Column("records", "Records", "record_count", number=True)
PRIORITY = Column("priority", "Priority", "priority", number=True)
THROTTLED = Column("throttled", "Held back by")
ACTIONS = Column("actions", "Actions")


@attrs.frozen(kw_only=True)
class JobTab:
    """One list of jobs.

    Attributes:
        name: in its path, and its icon.
        query: selects its jobs.
        counted: the key of its number in `Job.counts_by_state`; None: not counted.
        fields: what is read of each job for its columns, besides what every list needs.
        says_why: whether each row says why its job waits.
        indexed: what its jobs have, so that an index of the plugin has them in their order.
    """

    name: str
    title: str
    path: str
    query: Callable[[], JobQuery[Job]]
    listing: Listing
    counted: str | None = None
    fields: tuple[str, ...] = ()
    indexed: Filter | None = None
    says_why: bool = False
    empty: str = "There are no jobs here."


def _running() -> JobQuery[Job]:
    just_now = clock.now() - JUST_STARTED
    return Job.running().where({"$or": [{"started_at": None}, {"started_at": {"$lt": just_now}}]})


def _listing(*columns: Column, order: tuple[str, ...]) -> Listing:
    return Listing((CLASS, DESCRIPTION, *columns, ACTIONS), order, SEARCHED)


def _ended(state: str, empty: str) -> JobTab:
    column = Column(state, state.capitalize(), "completed_at")
    return JobTab(
        name=state,
        title=state.capitalize(),
        path=f"/jobs/{state}",
        query=lambda: Job.where({"state": state}),
        listing=_listing(column, order=("-completed_at",)),
        counted=state,
        fields=("completed_at",),
        indexed=HAS_ENDED,
        empty=empty,
    )


def _all_tabs() -> list[JobTab]:
    return [
        JobTab(
            name="all",
            title="All",
            path="/jobs",
            query=Job.all,
            listing=_listing(
                Column("created", "Created", "created_at"),
                Column("duration", "Duration", number=True),
                order=("-_id",),
            ),
            fields=("completed_at", "started_at"),
            empty="There are no jobs yet. Store one: `rocketjob enqueue myapp.jobs:ReportJob`",
        ),
        JobTab(
            name="scheduled",
            title="Scheduled",
            path="/jobs/scheduled",
            query=Job.scheduled,
            listing=_listing(
                Column("run_at", "Runs in", "run_at"),
                Column("cron_schedule", "Cron schedule", "cron_schedule"),
                order=("run_at",),
            ),
            counted="scheduled",
            fields=("cron_schedule",),
            empty="Nothing is to run at a later time.",
        ),
        JobTab(
            name="queued",
            title="Queued",
            path="/jobs/queued",
            query=Job.queued_now,
            listing=_listing(
                RECORDS,
                PRIORITY,
                Column("queued_for", "Queued for", number=True),
                Column("waits", "Why it waits"),
                order=("priority", "_id"),  # as workers take them
            ),
            counted="queued_now",
            fields=("record_count", *holds.KEYS),
            says_why=True,
            empty="Nothing is waiting: every job that is due has been started.",
        ),
        JobTab(
            name="running",
            title="Running",
            path="/jobs/running",
            query=_running,
            listing=_listing(
                RECORDS,
                Column("progress", "Progress"),
                Column("workers", "Workers", number=True),
                PRIORITY,
                Column("started", "Started", "started_at"),
                THROTTLED,
                order=("priority", "_id"),  # as workers take them
            ),
            counted="running",
            fields=(
                "record_count",
                "percent_complete",
                "progress_text",
                "input_categories",  # how many records a slice has
                *holds.KEYS,
            ),
            empty="Nothing is running.",
        ),
        JobTab(
            name="completed",
            title="Completed",
            path="/jobs/completed",
            query=Job.completed,
            listing=_listing(
                Column("duration", "Duration", number=True),
                Column("completed", "Completed", "completed_at"),
                order=("-completed_at",),
            ),
            counted="completed",
            fields=("completed_at", "started_at"),
            indexed=HAS_ENDED,
            empty="No completed job is kept: most classes have theirs removed at once "
            "(destroy_on_complete).",
        ),
        _ended("paused", "Nothing is paused."),
        _ended("failed", "Nothing has failed."),
        _ended("aborted", "Nothing was aborted."),
    ]


TABS = {tab.name: tab for tab in _all_tabs()}


def all_tabs() -> list[JobTab]:
    """Return the lists: those of the kernel's states, then those of the states of plugins."""
    return [*TABS.values(), *map(_of_plugin, context.current().plugins.states.values())]


def _of_plugin(state: State) -> JobTab:
    title = state.name.replace("_", " ").capitalize()
    return JobTab(
        name=state.name,
        title=title,
        path=f"/jobs/{state.name}",
        query=lambda: Job.in_state(state.name),
        listing=_listing(
            PRIORITY,
            Column("created", "Created", "created_at"),
            order=("priority", "_id"),
        ),
        counted=state.name,
        empty=f"No job is in the state {state.name}, in which {state.text}.",
    )


def counts(view: View) -> dict[str, int]:
    """Return the number of jobs by state, read once for a page.

    Where there are very many, which takes long, pages of the next moment have the same numbers.
    """
    found: dict[str, int] = view.once(COUNTS, lambda: _counted(view.site.memory))
    return found


def _counted(memory: dict[str, Any]) -> dict[str, int]:
    until, found = memory.get(COUNTS, (0.0, {}))
    if until < time.monotonic():
        found = Job.counts_by_state()
        if sum(found.values()) > MANY:
            memory[COUNTS] = (time.monotonic() + COUNTS_KEPT, found)
    return dict(found)


def forget_counts(view: View) -> None:
    """Have the next page count again, as something has just been changed."""
    view.site.memory.pop(COUNTS, None)


def total(view: View, tab: JobTab) -> Count:
    """Return the number of jobs of a list, from the same counts that the side shows."""
    found = counts(view)
    if tab.counted is None:
        states: Any = {k: v for k, v in found.items() if k not in ("queued_now", "scheduled")}
        return Count(sum(states.values()))
    return Count(found.get(tab.counted, 0))


def entries(view: View) -> list[Tab]:
    """Return the entries at the side."""
    return [
        Tab(
            path=tab.path,
            title=tab.title,
            icon=tab.name,
            count=None if tab.counted is None else total(view, tab),
        )
        for tab in all_tabs()
        if view.site.has(tab.path)
    ]
