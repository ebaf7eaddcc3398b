"""The gate: the one way from a request to a view.

Whoever asks is identified, and is let through only if the route's permission is his or hers;
whatever a view raises becomes a page that says what is wrong.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from rocketjob.base.acts import Act, acting
from rocketjob.base.errors import NotFound, RocketJobError, StoreError
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.store import context
from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.cookies import FLASH, look_of, unpack
from rocketjob_contrib.mission_control.errors import Forbidden, Missing, WebError
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_contrib.mission_control.security import is_cross_site, is_from_script, is_local
from rocketjob_contrib.mission_control.view import READ_ONLY, View
from rocketjob_contrib.mission_control.watch import watch_of

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.routes import Route
    from rocketjob_contrib.mission_control.sections import Section
    from rocketjob_contrib.mission_control.site import Site

log = Logger("rocketjob.web")
EVERYBODY = Identity(None, frozenset({"admin"}))
NOT_LOCAL = (
    "Mission Control answers only this machine, since nobody has said who may use it: give it "
    "`authorize`, see docs/web.md"
)
CROSS_SITE = "Refused: another site has sent this request"
SIGN_IN = "You may not look at this: sign in first"


class Refused(Exception):
    """A request that gets no page of ours, as whoever sends it may not even look.

    Args:
        response: of the application that Mission Control is part of, such as its login.
    """

    def __init__(self, text: str, response: Response | None = None) -> None:
        super().__init__(text)
        self.response = response or PlainTextResponse(text, 403)


@attrs.frozen
class Door:
    """How requests of one kind come in: those of browsers, or of programs.

    Attributes:
        view: what the function behind a route is given.
        identify: returns who sends a request, or raises `Refused`.
        refusal: returns the answer to somebody who may not look.
    """

    view: type[View]
    identify: Callable[[Site, Request], Awaitable[Identity]]
    refusal: Callable[[Request, Refused], Response]


def endpoint(
    site: Site, section: Section | None, route: Route, door: Door | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """Return what Starlette calls for a route.

    Args:
        door: None: that of browsers.
    """
    through = door or Door(View, identify, _refusal)

    async def call(request: Request) -> Response:
        try:
            identity = await through.identify(site, request)
        except Refused as refused:
            return through.refusal(request, refused)
        view = _view_of(through.view, site, request, identity, section)
        try:
            if route.changes:
                await view.receive()
        except WebError as error:
            return await run_in_threadpool(view.failed, error)
        return await run_in_threadpool(_answer, view, route)

    return call


def _refusal(request: Request, refused: Refused) -> Response:
    """Return the answer to somebody who may not look; in place of a page it would not be seen."""
    if request.headers.get("hx-boosted") != "true":
        return refused.response
    query = request.scope["query_string"].decode("latin-1")
    path = quote(f"/{request.scope['path'].lstrip('/')}") + (f"?{query}" if query else "")
    return Response(headers={"HX-Redirect": path})  # the browser itself goes there


def _view_of(
    kind: type[View], site: Site, request: Request, identity: Identity, section: Section | None
) -> View:
    """Return the look that a request is."""
    messages = unpack(request.cookies.get(FLASH), site.settings.secret)
    return kind(request, site, identity, section, Form(), look_of(request.cookies), messages)


async def identify(site: Site, request: Request) -> Identity:
    """Return who sends a request.

    Raises:
        Refused: somebody who may not even look, or another site.
    """
    if is_cross_site(request.method, request.headers):
        log.warning("a request from another site was refused", path=request.scope["path"])
        raise Refused(CROSS_SITE)
    authorize = site.settings.authorize
    if authorize is None:
        if not is_local(request):
            raise Refused(NOT_LOCAL)
        return EVERYBODY
    if inspect.iscoroutinefunction(authorize):
        identity = await authorize(request)
    else:  # it may look at the database: not in the way of other requests
        answer = await run_in_threadpool(authorize, request)
        identity = await answer if inspect.isawaitable(answer) else answer
    if identity is None:
        raise Refused(SIGN_IN)
    if isinstance(identity, Response):  # the script would put a login into the page
        raise Refused(SIGN_IN, None if is_from_script(request.headers) else identity)
    if not isinstance(identity, Identity):
        raise TypeError(
            f"authorize returned {identity!r}, expected an Identity, a response or None"
        )
    return identity


def _answer(view: View, route: Route) -> Response:
    try:
        _check(view, route)
        with _acting(view, route) if route.changes else contextlib.nullcontext():
            response: Response = route.view(view)
        if route.changes:
            view.look_again()
        return response
    except WebError as error:
        return view.failed(error)
    except Exception as error:
        return _unexpected(view, error)


def _acting(view: View, route: Route) -> AbstractContextManager[Act]:
    """Say who makes the changes of a request, and why: see the hook `act_writes`."""
    how = f"{view.request.method} {view.prefix}{route.path}"
    reason = view.form.get("reason", "") or None
    grant = view.grant_for(route.permission)
    return acting(view.identity.login, how=how, via=view.via, reason=reason, grant=grant)


def _check(view: View, route: Route) -> None:
    if route.changes and not route.in_browser and view.read_only:
        raise Forbidden(READ_ONLY)
    if route.target is not None:
        try:
            view.target = route.target(view)
        except NotFound as error:
            raise Missing(str(error), view.section.home if view.section else None) from error
    if not view.may(route.permission, view.target):
        raise view.refusal(route.permission)
    if route.changes:
        view.step()


def _unexpected(view: View, error: Exception) -> Response:
    view.shows_tabs = False  # they may be what has failed
    store = context.current().store if not isinstance(error, StoreError) else None
    if store is None or store.is_transient(error):
        log.warning("the store cannot be reached", error=message_of(error)[:300])
        watch_of(view.site.memory).note_away()
        text = "The store cannot be reached, so nothing is known. It is tried again with each look."
        return view.render("error.html", 503, title="State unknown", text=text)
    if isinstance(error, RocketJobError):
        log.warning("refused", path=view.path, error=message_of(error)[:300])
        return view.render("error.html", 409, title="Not done", text=message_of(error))
    log.error("a page failed", path=view.path, exception=error)
    text = "This page could not be made. What went wrong is in the log of the web process."
    return view.render("error.html", 500, title="Something went wrong", text=text)
