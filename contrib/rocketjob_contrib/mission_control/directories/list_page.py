"""The lists of entries, one for each state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from rocketjob.store import context
from rocketjob_contrib.mission_control.directories.finding import shown
from rocketjob_contrib.mission_control.lists import (
    COUNTED,
    Asked,
    Column,
    Count,
    Found,
    Listing,
    asked_of,
)
from rocketjob_contrib.mission_control.sections import Tab
from rocketjob_contrib.mission_control.tables import as_table, asked_by_table
from rocketjob_plugins.dirmon.entry import COLLECTION, STATES, DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LISTING = Listing(
    (
        Column("name", "Name", "name"),
        Column("class", "Job class", "job_class_name"),
        Column("pattern", "Pattern", "pattern"),
    ),
    ("name",),
    ("job_class_name", "name", "pattern"),
)


@attrs.frozen
class EntryTab:
    """One list of entries; those in all states where it has none."""

    state: str | None
    title: str
    path: str
    empty: str


TABS = (
    EntryTab(
        None,
        "All",
        "/dirmon_entries",
        "There are no entries yet. An entry says which job is created for each file that appears.",
    ),
    *(
        EntryTab(state, state.capitalize(), f"/dirmon_entries/{state}", f"No entry is {state}.")
        for state in ("pending", "enabled", "failed", "disabled")
    ),
)
assert {tab.state for tab in TABS} == {None, *STATES}


def counts(view: View) -> dict[str, int]:
    """Return the number of entries by state, read once for a page."""
    return view.once(
        "entries.counts", lambda: context.current().store.count_by(COLLECTION, "state")
    )


def entries(view: View) -> list[Tab]:
    """Return the entries at the side."""
    create = Tab(path="/dirmon_entries/new", title="Create", icon="create")
    return [
        *([create] if view.may("entries.create") else []),
        *_lists(view),
    ]


def _lists(view: View) -> list[Tab]:
    return [
        Tab(
            path=tab.path,
            title=tab.title,
            icon=tab.state or "all",
            count=Count(counts(view).get(tab.state, 0)) if tab.state else None,
        )
        for tab in TABS
    ]


def page_of(tab: EntryTab) -> Callable[[View], Response]:
    """Return the view of a list."""

    def show(view: View) -> Response:
        found = find(view, tab, asked_of(LISTING, view.query))
        return view.render("directories/list.html", tab=tab, found=found)

    return show


def json_of(tab: EntryTab) -> Callable[[View], Response]:
    """Return the view of a list as JSON, in the form that tables of the Ruby version asked for."""

    def show(view: View) -> Response:
        found = find(view, tab, asked_by_table(LISTING, view.query))
        return as_table(view.query, found, lambda entry: _as_json(view, entry))

    return show


def _as_json(view: View, entry: DirmonEntry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "name": view.shown(entry.name),
        "job_class": entry.job_class_name,
        "pattern": view.shown(entry.pattern),
        "state": entry.state,
    }


def find(view: View, tab: EntryTab, asked: Asked) -> Found:
    """Return a page of a list."""
    query = DirmonEntry.all() if tab.state is None else DirmonEntry.where(state=tab.state)
    by_state = counts(view)
    total = Count(sum(by_state.values()) if tab.state is None else by_state.get(tab.state, 0))
    searched, matching = asked.search_filter(), total
    if searched is not None:
        query = query.where(searched)
        matching = Count.of(query.count(at_most=COUNTED + 1))
    page = query.order_by(*asked.order).skip(asked.skip).limit(asked.size + 1)
    rows = [
        shown(entry) for entry in page
    ]  # a list would ask for its length first, which is counted
    return Found(asked, rows[: asked.size], total, matching, len(rows) > asked.size)
