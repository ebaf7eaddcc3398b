"""Mission Control in Flask: `pip install 'rocketjob[web,flask]'`.

    app.register_blueprint(blueprint(WebSettings(authorize=who)), url_prefix="/rocketjob")

`who` is called with the request of Flask, in its context: `session`, `g`, and `current_user` of
Flask-Login, are there. It returns an `Identity`, a response such as a redirect to the login, or
None. Pages ask for changes, as a stream would hold a thread of the server.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from a2wsgi import ASGIMiddleware
from flask import Blueprint, request
from starlette.types import Receive, Scope, Send
from werkzeug.wrappers import Response

from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.hosts import (
    IDENTITY,
    has_token,
    hosted,
    is_of_api,
    quoted,
)
from rocketjob_contrib.mission_control.security import CANNOT_STREAM, is_from_script
from rocketjob_contrib.mission_control.settings import WebSettings

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def blueprint(settings: WebSettings, name: str = "rocketjob") -> Blueprint:
    """Return a blueprint that is Mission Control, to be registered at any path."""
    views = Blueprint(name, __name__)

    @cache
    def application() -> Any:
        """Made by the first request: servers fork after the import, and threads stay behind."""
        app = hosted(settings)

        async def handed_on(scope: Scope, receive: Receive, send: Send) -> None:
            given = {IDENTITY: scope["wsgi_environ"][IDENTITY], CANNOT_STREAM: True}
            await app({**scope, **given}, receive, send)

        return ASGIMiddleware(handed_on)  # type: ignore[arg-type]

    @views.route("/", defaults={"path": ""}, methods=METHODS)
    @views.route("/<path:path>", methods=METHODS)
    def serve(path: str) -> Any:
        says_who = has_token(path, request.headers.get("authorization"))
        asked = None if says_who else settings.authorize
        identity = asked(request) if asked is not None else None
        if not isinstance(identity, Identity | None):
            if not (is_from_script(request.headers) or is_of_api(path)):
                return identity
            identity = None
        query = quoted(request.environ.get("QUERY_STRING", ""))
        given = {IDENTITY: identity, "QUERY_STRING": query}
        environ = {**request.environ, **given, **_below(path)}
        return Response.from_app(application(), environ)

    return views


def _below(path: str) -> dict[str, str]:
    """Return the two parts of the path, in the form of WSGI: where it is mounted, and the rest."""
    mounted = (request.root_path + request.path).removesuffix(path).rstrip("/")
    return {"SCRIPT_NAME": _of_wsgi(mounted), "PATH_INFO": _of_wsgi(f"/{path}")}


def _of_wsgi(text: str) -> str:
    return text.encode().decode("latin-1")
