"""The API as routes of Starlette: one for each path, which knows all of its methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from rocketjob_contrib.mission_control import gate
from rocketjob_contrib.mission_control.api import problems
from rocketjob_contrib.mission_control.api.bodies import checked, parameters
from rocketjob_contrib.mission_control.api.door import DOOR
from rocketjob_contrib.mission_control.api.guards import must_be_given
from rocketjob_contrib.mission_control.api.operations import PREFIX, Operation
from rocketjob_contrib.mission_control.api.view import ApiView
from rocketjob_contrib.mission_control.site import Site

Endpoint = Callable[[Request], Awaitable[Response]]


def routes_of(site: Site) -> list[BaseRoute]:
    """Return the routes of all operations, and the one of whatever else is below `/api`."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for section, each in site.operations:
        call = gate.endpoint(site, section, _checking(each), DOOR)
        by_path.setdefault(PREFIX + each.path, {})[each.method] = call
    literal_first = sorted(by_path, key=lambda path: (path.count("{"), path))
    return [
        *(Route(path, _Methods(by_path[path])) for path in literal_first),
        Route("/api/{path:path}", _Methods({})),
    ]


def _checking(each: Operation) -> Operation:
    """Return the operation with what is asked of each request before it is made."""

    def answer(view: ApiView) -> Response:
        view.params = parameters(each.query, view.request.query_params)
        if each.changes:
            checked(each.body, view.body)
        if each.match == "must":
            must_be_given(view)
        done: Response = each.view(view)
        return done

    return attrs.evolve(each, view=answer)


class _Methods:
    """ASGI: one path, by its methods. Being no function, it is asked for every method."""

    def __init__(self, calls: dict[str, Endpoint]) -> None:
        self._calls = calls
        self._allowed = ", ".join([*calls, *(["HEAD"] if "GET" in calls else [])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        method = "GET" if request.method == "HEAD" else request.method
        if method in self._calls:
            answer = await self._calls[method](request)
        elif self._calls:
            text = f"{method} is not possible here; possible is {self._allowed}"
            answer = problems.response(405, text, headers={"allow": self._allowed})
        else:
            answer = problems.response(404, f"There is nothing at {request.url.path}")
        await answer(scope, receive, send)
