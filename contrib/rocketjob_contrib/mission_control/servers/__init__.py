"""The section Servers: lists for every state, the page of a server, and what it can be told."""

from __future__ import annotations

from rocketjob_contrib.mission_control.access import Permission
from rocketjob_contrib.mission_control.routes import Route, asked_first, change, get
from rocketjob_contrib.mission_control.sections import Section
from rocketjob_contrib.mission_control.servers import (
    all_of_them,
    api,
    fleet,
    list_page,
    one,
    server_page,
)
from rocketjob_contrib.mission_control.servers.fleet import server_in_path

PERMISSIONS = (
    Permission("servers.pause", "operator"),
    Permission("servers.resume", "operator"),
    Permission("servers.drain", "operator"),
    Permission("servers.stop", "operator"),
    Permission("servers.kill", "operator"),
    Permission("servers.thread_dump", "operator"),
    Permission("servers.log_level", "operator"),
    Permission("servers.destroy", "operator"),
    Permission("servers.destroy_zombies", "operator"),
    Permission("servers.all", "operator"),  # besides that for the action
)


def section() -> Section:
    """Return the section."""
    return Section(
        name="servers",
        title="Servers",
        icon="servers",
        home="/servers",
        routes=(*_lists(), *_all(), *_one()),
        api=tuple(api.operations()),
        permissions=PERMISSIONS,
        tabs=fleet.entries,
        order=20,
    )


def _lists() -> list[Route]:
    routes = []
    for tab in fleet.TABS:
        routes.append(get(tab.path, list_page.page_of(tab)))
        routes.append(get(f"{tab.path}.json", list_page.json_of(tab)))
    return routes


def _all() -> list[Route]:
    return asked_first(all_of_them.PATH, all_of_them.ask_first, all_of_them.do, "servers.all")


def _one() -> list[Route]:
    routes = [get("/servers/{id}", server_page.show, target=server_in_path)]
    for action in one.ACTIONS.values():
        path, permission = f"/servers/{{id}}/{action.name}", f"servers.{action.name}"
        ask, do = one.asking(action), one.doing(action)
        routes += asked_first(path, ask, do, permission, server_in_path)
    destroy = one.doing(one.ACTIONS["destroy"])
    removing = change("/servers/{id}", destroy, "servers.destroy", server_in_path, ("DELETE",))
    return [*routes, removing]
