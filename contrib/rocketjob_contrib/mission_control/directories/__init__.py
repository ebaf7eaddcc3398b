"""The section Directories: the entries of directory monitors.

It is made with what `register_pages` gives to every plugin, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from rocketjob_contrib.mission_control.access import Permission
from rocketjob_contrib.mission_control.directories import (
    actions,
    api,
    creating,
    editing,
    entry_page,
    list_page,
    preview_page,
)
from rocketjob_contrib.mission_control.directories.finding import as_origin, entry_in_path
from rocketjob_contrib.mission_control.directories.finding import usable_entry_in_path as usable
from rocketjob_contrib.mission_control.routes import Route, asked_first, change, get
from rocketjob_contrib.mission_control.sections import Section
from rocketjob_plugins.dirmon.intake import KIND

PERMISSIONS = (
    Permission("entries.create", "dirmon"),
    Permission("entries.edit", "dirmon"),
    Permission("entries.enable", "dirmon"),
    Permission("entries.disable", "dirmon"),
    Permission("entries.copy", "dirmon"),
    Permission("entries.preview", "dirmon"),
    Permission("entries.destroy", "admin"),
)
ALL, ONE = "/dirmon_entries", "/dirmon_entries/{id}"


def section() -> Section:
    """Return the section."""
    return Section(
        name="directories",
        title="Directories",
        icon="directories",
        home="/dirmon_entries/enabled",
        routes=(*_lists(), *_creating(), *_entry(), *_actions()),
        api=tuple(api.operations()),
        permissions=PERMISSIONS,
        tabs=list_page.entries,
        templates=str(Path(__file__).parent / "templates"),
        order=40,
        origins={KIND: as_origin},
    )


def _lists() -> list[Route]:
    routes = []
    for tab in list_page.TABS:
        routes.append(get(tab.path, list_page.page_of(tab)))
        routes.append(get(f"{tab.path}.json", list_page.json_of(tab)))
    return routes


def _creating() -> list[Route]:
    return [
        get(f"{ALL}/new", creating.show, "entries.create"),
        change(ALL, creating.create, "entries.create"),
        get(f"{ONE}/copy", creating.show_copy, "entries.copy", usable),
        change(f"{ONE}/replicate", creating.copy, "entries.copy", usable, ("POST", "PATCH")),
    ]


def _entry() -> list[Route]:
    methods = ("POST", "PATCH", "PUT")
    return [
        get(ONE, entry_page.show, target=entry_in_path),
        get(f"{ONE}/preview", preview_page.show, "entries.preview", usable),
        get(f"{ONE}/edit", editing.show, "entries.edit", usable),
        change(ONE, editing.save, "entries.edit", usable, methods),
    ]


def _actions() -> list[Route]:
    routes: list[Route] = []
    for action in actions.ACTIONS.values():
        path, permission = f"{ONE}/{action.name}", f"entries.{action.name}"
        ask, do = actions.asking(action), actions.doing(action)
        methods = ("POST", "PUT", "PATCH")
        target = usable if action.name == "enable" else entry_in_path
        routes += asked_first(path, ask, do, permission, target, methods)
    destroy = actions.doing(actions.ACTIONS["destroy"])
    return [*routes, change(ONE, destroy, "entries.destroy", entry_in_path, ("DELETE",))]
