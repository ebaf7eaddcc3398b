"""`create_app`: Mission Control as an ASGI application."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

from rocketjob.store import context
from rocketjob_contrib.mission_control import gate, preferences
from rocketjob_contrib.mission_control.access import READ, Permission, Policy
from rocketjob_contrib.mission_control.assets import Assets
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.routes import Route, change, get
from rocketjob_contrib.mission_control.sections import Section, fitting
from rocketjob_contrib.mission_control.security import SecurityHeaders
from rocketjob_contrib.mission_control.settings import WebSettings
from rocketjob_contrib.mission_control.templating import Templates
from rocketjob_contrib.mission_control.view import View


class Site:
    """What all looks share.

    Args:
        settings: of the application that Mission Control is part of.
        sections: instead of those of the plugins.
    """

    def __init__(self, settings: WebSettings, sections: Iterable[Section] | None = None) -> None:
        self.settings = settings
        if sections is None:
            sections = context.current().plugins.collect("register_pages")
        self.sections = fitting(sections)
        self.policy: Policy = settings.policy(self._permissions())
        self.templates = Templates(self.sections)
        self.assets = Assets()
        self.memory: dict[
            str, Any
        ] = {}  # what was read before, for what may be shown a little late

    def _permissions(self) -> list[Permission]:
        return [READ, *(p for section in self.sections for p in section.permissions)]

    @cached_property
    def routes(self) -> list[tuple[Section | None, Route]]:
        """Every route, with its section."""
        shared = [
            get("/", _first_page),
            get("/preferences", preferences.ask),
            change("/preferences", preferences.choose, "read"),
        ]
        owned = [(section, route) for section in self.sections for route in section.routes]
        return [*((None, route) for route in shared), *owned]

    @cached_property
    def changing(self) -> frozenset[str]:
        """The permissions for what changes something."""
        named = {r.permission for section, r in self.routes if section is not None and r.changes}
        return frozenset(named - {READ.name})

    def root(self, request: Request) -> str:
        """Return the path where Mission Control is mounted, without a slash at its end."""
        return str(request.scope.get("root_path", "")).rstrip("/")


def create_app(
    settings: WebSettings | None = None, *, sections: Iterable[Section] | None = None
) -> Starlette:
    """Return Mission Control as an ASGI application, to be mounted at any path.

    It works with the store and the plugins of this process: see `rocketjob.connect`.

    Args:
        settings: None: open to this machine only, see `WebSettings`.
        sections: instead of those that plugins bring, for tests.
    """
    site = Site(settings or WebSettings(), sections)
    app = Starlette(
        routes=[
            Mount("/static", site.assets.app()),
            *(_starlette_route(site, section, route) for section, route in site.routes),
            _starlette_route(site, None, get("/{path:path}", _nothing_here)),
        ],
        middleware=[Middleware(SecurityHeaders, frame_ancestors=site.settings.frame_ancestors)],
    )
    app.state.site = site
    return app


def _starlette_route(site: Site, section: Section | None, route: Route) -> StarletteRoute:
    call = gate.endpoint(site, section, route)
    return StarletteRoute(route.path, call, methods=route.methods)


def _first_page(view: View) -> Response:
    home = next((section.home for section in view.site.sections), None)
    if home is None:
        raise Missing("No plugin brings any page")
    return view.go(home)


def _nothing_here(view: View) -> Response:
    raise Missing(f"There is no page {view.path}")
