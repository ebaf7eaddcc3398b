"""`Site`: what all looks share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from starlette.requests import Request

from rocketjob.store import context
from rocketjob_contrib.mission_control.access import READ, Permission, Policy
from rocketjob_contrib.mission_control.api.derived import twins
from rocketjob_contrib.mission_control.api.operations import Operation
from rocketjob_contrib.mission_control.assets import Assets
from rocketjob_contrib.mission_control.routes import Route
from rocketjob_contrib.mission_control.sections import Section, fitting
from rocketjob_contrib.mission_control.settings import WebSettings
from rocketjob_contrib.mission_control.templating import Templates


class Site:
    """What all looks share.

    Args:
        settings: of the application that Mission Control is part of.
        sections: instead of those of the plugins.
        general: operations of the API that belong to no section.
    """

    def __init__(
        self,
        settings: WebSettings,
        sections: Iterable[Section] | None = None,
        general: Iterable[Operation] = (),
    ) -> None:
        self.settings = settings
        if sections is None:
            sections = context.current().plugins.collect("register_pages")
        self.sections = fitting(sections)
        self._general = tuple(general)
        self.policy: Policy = settings.policy(self._permissions())
        self.templates = Templates(self.sections)
        self.assets = Assets()
        self.memory: dict[
            str, Any
        ] = {}  # what was read before, for what may be shown a little late

    def _permissions(self) -> list[Permission]:
        return [READ, *(p for section in self.sections for p in section.permissions)]

    @cached_property
    def routes(self) -> list[tuple[Section, Route]]:
        """Every route of a section, with the section."""
        return [(section, route) for section in self.sections for route in section.routes]

    @cached_property
    def operations(self) -> list[tuple[Section | None, Operation]]:
        """Every operation of the API, with its section, if it belongs to one."""
        found: list[tuple[Section | None, Operation]] = [(None, each) for each in self._general]
        found += [(section, each) for section in self.sections for each in section.api]
        return [*found, *twins(self.routes, found)]

    @cached_property
    def changing(self) -> frozenset[str]:
        """The permissions for what changes something."""
        named = {route.permission for _, route in (*self.routes, *self.operations) if route.changes}
        return frozenset(named - {READ.name})

    def has(self, path: str) -> bool:
        """Return whether there is a route of this path: one page leads to another if it is here."""
        return any(route.path == path for _, route in self.routes)

    def root(self, request: Request) -> str:
        """Return the path where Mission Control is mounted, without a slash at its end."""
        return str(request.scope.get("root_path", "")).rstrip("/")
