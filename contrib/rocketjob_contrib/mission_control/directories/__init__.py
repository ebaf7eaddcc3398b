"""The section Directories: the entries of directory monitors.

It is made with what `register_pages` gives to every plugin, and nothing else.
"""

from __future__ import annotations

from rocketjob_contrib.mission_control.access import Permission
from rocketjob_contrib.mission_control.directories import list_page
from rocketjob_contrib.mission_control.routes import get
from rocketjob_contrib.mission_control.sections import Section

PERMISSIONS = (
    Permission("entries.create", "dirmon"),
    Permission("entries.edit", "dirmon"),
    Permission("entries.enable", "dirmon"),
    Permission("entries.disable", "dirmon"),
    Permission("entries.copy", "dirmon"),
    Permission("entries.destroy", "admin"),
)


def section() -> Section:
    """Return the section."""
    return Section(
        name="directories",
        title="Directories",
        icon="directories",
        home="/dirmon_entries/enabled",
        routes=tuple(get(tab.path, list_page.page_of(tab)) for tab in list_page.TABS),
        permissions=PERMISSIONS,
        tabs=list_page.entries,
        order=40,
    )
