"""The section Overview, the first page: what fails, whether work flows, and what comes next.

- `seen`: what is read of the store for it, once in some seconds for all who look
- `summary`: what is said of it
- `page`, `api`: how that is shown to one of them, and what programs are told
"""

from __future__ import annotations

from pathlib import Path

from rocketjob_contrib.mission_control.overview import api, page
from rocketjob_contrib.mission_control.routes import get
from rocketjob_contrib.mission_control.sections import Section


def section() -> Section:
    """Return the section."""
    return Section(
        name="overview",
        title="Overview",
        icon="overview",
        home="/overview",
        routes=(get("/overview", page.show),),
        templates=str(Path(__file__).parent / "templates"),
        order=0,
        api=tuple(api.operations()),
    )
