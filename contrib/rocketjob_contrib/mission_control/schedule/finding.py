"""What the pages of this section read, once for each look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob_contrib.mission_control.lists import Count
from rocketjob_contrib.mission_control.sections import Tab
from rocketjob_plugins.cron.series import Found, all_series

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


def series_of(view: View) -> Found:
    """Return every series of the store."""
    return view.once("schedule.series", lambda: all_series(view.now))


def entries(view: View) -> list[Tab]:
    """Return the entries at the side."""
    found = series_of(view)
    count = Count(len(found.series), more=not found.is_all)
    return [
        Tab(path="/schedule", title="List", icon="all", count=count),
        Tab(path="/schedule/day", title="Next 24 hours", icon="clock"),
        Tab(path="/schedule/week", title="Next 7 days", icon="schedule"),
        Tab(path="/schedule/preview", title="Try an expression", icon="eye"),
    ]
