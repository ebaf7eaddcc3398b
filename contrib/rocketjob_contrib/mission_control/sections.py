"""Sections: an entry of the menu each, with its routes, permissions, and tabs at the side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.log import Logger
from rocketjob_contrib.mission_control.access import READ, Permission
from rocketjob_contrib.mission_control.api.operations import Operation
from rocketjob_contrib.mission_control.routes import Route

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.lists import Count

log = Logger("rocketjob.web")


@attrs.frozen(kw_only=True)
class Tab:
    """An entry at the side of a section's pages.

    Attributes:
        path: where it leads.
        icon: a state, or a name of `icons.svg`.
        count: how many there are; None: not said.
    """

    path: str
    title: str
    icon: str
    count: Count | None = None


@attrs.frozen(kw_only=True)
class Section:
    """An entry of the menu, and what is behind it.

    Attributes:
        name: short and unique, such as `weather`.
        title: in the menu and in the browser's title.
        icon: a name of `icons.svg`.
        home: the path of its first page.
        routes: all of its paths; no other section may have one of them.
        api: the same for programs. A route that changes something, and that none of these does the
            work of, is there for programs too, with the fields of its form.
        permissions: that its routes name, besides `read`.
        tabs: called with a `View`, it returns the entries at the side; they are read in the same
            moment as the page.
        templates: a folder; its files are named `NAME/file.html`, NAME being the section's.
        order: of the menu, ascending.
        origins: by a kind of link in `job.created_for`, a function that returns the path and the
            title of what has an id; None where it is gone.
    """

    name: str = attrs.field(validator=attrs.validators.matches_re(r"[a-z][a-z0-9_]*"))
    title: str
    icon: str
    home: str
    routes: tuple[Route, ...]
    api: tuple[Operation, ...] = ()
    permissions: tuple[Permission, ...] = ()
    tabs: Callable[[Any], list[Tab]] | None = None
    templates: str | None = None
    order: int = 50
    origins: Mapping[str, Callable[[str], tuple[str, str] | None]] = attrs.field(factory=dict)


def fitting(sections: Iterable[Section]) -> list[Section]:
    """Return the sections in the order of the menu, without those that are in another's way."""
    kept: list[Section] = []
    for section in sections:
        if problem := _problem(section, kept):
            log.error("a section of Mission Control is left out", section=section.name, why=problem)
        else:
            kept.append(section)
    return sorted(kept, key=lambda section: (section.order, section.title))


def _problem(section: Section, others: list[Section]) -> str | None:
    if any(section.name == other.name for other in others):
        return "there is another section of this name"
    known = {READ.name, *(permission.name for permission in section.permissions)}
    taken = {(m, r.path) for other in others for r in other.routes for m in r.methods}
    names = {permission.name for other in others for permission in other.permissions}
    for permission in section.permissions:
        if permission.name in {READ.name, *names}:
            return f"another section has the permission {permission.name}"
    for route in (*section.routes, *section.api):
        if route.permission not in known:
            return f"its route {route.path} needs the permission {route.permission}, which it lacks"
    for route in section.routes:
        for method in route.methods:
            if (method, route.path) in taken:
                return f"another section has the route {method} {route.path}"
    named = {each.name for other in others for each in other.api}
    done = {(each.method, each.path) for other in others for each in other.api}
    for each in section.api:
        if each.name in named or (each.method, each.path) in done:
            return f"another section has the operation {each.name}, {each.method} {each.path}"
    return None
