"""`create_app`: Mission Control as an ASGI application."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

from rocketjob import Job
from rocketjob.base.log import Logger
from rocketjob_contrib.mission_control import gate, jump, live, preferences, views
from rocketjob_contrib.mission_control.api import general, mount
from rocketjob_contrib.mission_control.errors import Missing
from rocketjob_contrib.mission_control.routes import Route, get
from rocketjob_contrib.mission_control.sections import Section
from rocketjob_contrib.mission_control.security import SecurityHeaders
from rocketjob_contrib.mission_control.settings import WebSettings
from rocketjob_contrib.mission_control.site import Site
from rocketjob_contrib.mission_control.view import View

log = Logger("rocketjob.web")


def create_app(
    settings: WebSettings | None = None, *, sections: Iterable[Section] | None = None
) -> Starlette:
    """Return Mission Control as an ASGI application, to be mounted at any path.

    It works with the store and the plugins of this process: see `rocketjob.connect`.

    Args:
        settings: None: open to this machine only, see `WebSettings`.
        sections: instead of those that plugins bring, for tests.
    """
    site = Site(settings or WebSettings(), sections, general.operations())
    shared = (
        get("/", _first_page),
        get("/preferences", preferences.ask),
        Route("/preferences", preferences.choose, "read", ("POST",), in_browser=True),
        Route("/views", views.save, "read", ("POST",), in_browser=True),
        get("/jump", jump.jump),
        get("/{path:path}", _nothing_here),  # the last, as it fits everything
    )
    app = Starlette(
        routes=[
            Mount("/static", site.assets.app()),
            StarletteRoute("/events", live.endpoint(site)),
            StarletteRoute("/healthz", _health),
            *mount.routes_of(site),
            *(_starlette_route(site, section, route) for section, route in site.routes),
            *(_starlette_route(site, None, route) for route in shared),
        ],
        middleware=[Middleware(SecurityHeaders, frame_ancestors=site.settings.frame_ancestors)],
    )
    app.state.site = site
    return app


def _starlette_route(site: Site, section: Section | None, route: Route) -> StarletteRoute:
    call = gate.endpoint(site, section, route)
    return StarletteRoute(route.path, call, methods=route.methods)


def _health(request: Request) -> Response:
    """Say to whatever watches the process whether its store answers, and nothing else."""
    try:
        Job.collection().find_one({}, {"_id": 1})
    except Exception:
        log.warning("not healthy: the store does not answer")
        return PlainTextResponse("the store does not answer\n", 503)
    return PlainTextResponse("ok\n")


def _first_page(view: View) -> Response:
    home = next((section.home for section in view.site.sections), None)
    if home is None:
        raise Missing("No plugin brings any page")
    return view.go(home)


def _nothing_here(view: View) -> Response:
    raise Missing(f"There is no page {view.path}")
