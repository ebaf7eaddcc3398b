"""The section Workers: who is at what, at this moment."""

from __future__ import annotations

from rocketjob_contrib.mission_control.routes import get
from rocketjob_contrib.mission_control.sections import Section
from rocketjob_contrib.mission_control.workers import api, list_page


def section() -> Section:
    """Return the section."""
    return Section(
        name="workers",
        title="Workers",
        icon="workers",
        home="/active_workers",
        routes=(
            get("/active_workers", list_page.show),
            get("/active_workers.json", list_page.show_as_json),
        ),
        api=tuple(api.operations()),
        order=30,
    )
