"""The section Schedule: what runs by a schedule, when next, and what became of the last runs.

- `list_page`: every series, with what can be done with it
- `calendar_page`: the runs of the next day, and of the next week
- `preview_page`: an expression in words, and its next times, while it is typed; `run_times` is
  what it is made with, as the form of a job's schedule is
- `guardians`: the jobs that should be there and are not, and creating them
"""

from __future__ import annotations

from pathlib import Path

from rocketjob_contrib.mission_control.access import Permission
from rocketjob_contrib.mission_control.routes import asked_first, get
from rocketjob_contrib.mission_control.schedule import (
    api,
    calendar_page,
    finding,
    guardians,
    list_page,
    preview_page,
)
from rocketjob_contrib.mission_control.sections import Section

CREATE = "/schedule/create"


def section() -> Section:
    """Return the section."""
    return Section(
        name="schedule",
        title="Schedule",
        icon="schedule",
        home="/schedule",
        routes=(
            get("/schedule", list_page.show),
            get("/schedule/day", calendar_page.of(hours=24)),
            get("/schedule/week", calendar_page.of(hours=7 * 24)),
            get("/schedule/preview", preview_page.show),
            *asked_first(CREATE, guardians.ask_first, guardians.create, "schedule.create"),
        ),
        permissions=(Permission("schedule.create", "manager"),),
        tabs=finding.entries,
        templates=str(Path(__file__).parent / "templates"),
        order=15,
        api=tuple(api.operations()),
    )
