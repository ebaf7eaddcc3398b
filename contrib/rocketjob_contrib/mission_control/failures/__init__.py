"""The section Failures: what has failed, in groups, to be retried or acknowledged at once."""

from __future__ import annotations

from pathlib import Path

from rocketjob_contrib.mission_control.access import Permission
from rocketjob_contrib.mission_control.failures import acting, api, group_page, list_page
from rocketjob_contrib.mission_control.failures.finding import group_in_path
from rocketjob_contrib.mission_control.routes import asked_first, get
from rocketjob_contrib.mission_control.sections import Section

PERMISSIONS = (
    Permission("failures.retry", "manager"),
    Permission("failures.acknowledge", "manager"),
)


def section() -> Section:
    """Return the section."""
    one = "/failures/{id}"
    routes = [
        get("/failures", list_page.show),
        get(one, group_page.show, target=group_in_path),
        *asked_first(
            f"{one}/retry", acting.ask_retry, acting.do_retry, "failures.retry", group_in_path
        ),
        *asked_first(
            f"{one}/acknowledge",
            acting.ask_acknowledge,
            acting.do_acknowledge,
            "failures.acknowledge",
            group_in_path,
        ),
    ]
    return Section(
        name="failures",
        title="Failures",
        icon="failed",
        home="/failures",
        routes=tuple(routes),
        permissions=PERMISSIONS,
        templates=str(Path(__file__).parent / "templates"),
        order=12,
        api=tuple(api.operations()),
    )
