"""The section Audit: who did what to what, why, and what it was before."""

from __future__ import annotations

from pathlib import Path

from rocketjob_contrib.mission_control.auditing import api, page
from rocketjob_contrib.mission_control.routes import get
from rocketjob_contrib.mission_control.sections import Section


def section() -> Section:
    """Return the section."""
    return Section(
        name="auditing",
        title="Audit",
        icon="eye",
        home="/audit",
        routes=(get("/audit", page.show),),
        templates=str(Path(__file__).parent / "templates"),
        order=70,
        api=tuple(api.operations()),
    )
