"""Mission Control within the applications of others, with their own login: one line each.

FastAPI, Starlette and Litestar need no module: `app.mount("/rocketjob", create_app(settings))`.
"""

from __future__ import annotations

import string
from urllib.parse import quote

import attrs
from starlette.applications import Starlette
from starlette.requests import Request

from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.app import create_app
from rocketjob_contrib.mission_control.settings import WebSettings
from rocketjob_contrib.mission_control.tokens import bearer_of

IDENTITY = "rocketjob.identity"
"""The key of a scope for what `authorize` has returned."""


def hosted(settings: WebSettings) -> Starlette:
    """Return Mission Control for a host that calls `authorize` itself, with its own request."""
    if settings.authorize is None:
        return create_app(settings)  # open to this machine only

    async def known(request: Request) -> Identity | None:
        identity: Identity | None = request.scope[IDENTITY]
        return identity

    return create_app(attrs.evolve(settings, authorize=known))


def is_of_api(path: str) -> bool:
    """Return whether a path, below where Mission Control is mounted, is one for programs.

    These are not led to a login.
    """
    return path.lstrip("/").startswith("api/")


def has_token(path: str, authorization: str | None) -> bool:
    """Return whether a request says by a token of ours who sends it: the host need not know."""
    return is_of_api(path) and bearer_of(authorization) is not None


def quoted(query: str) -> str:
    """Return a query in which every character is one of a URL, whatever the client has sent."""
    return quote(query, safe=string.punctuation)
