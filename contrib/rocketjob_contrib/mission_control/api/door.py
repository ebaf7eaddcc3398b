"""How programs come in: by a token, or as the pages do; and what those are told who may not."""

from __future__ import annotations

import functools

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob_contrib.mission_control import gate, tokens
from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.api import problems
from rocketjob_contrib.mission_control.api.view import ApiView
from rocketjob_contrib.mission_control.gate import CROSS_SITE, Door, Refused
from rocketjob_contrib.mission_control.security import is_cross_site
from rocketjob_contrib.mission_control.site import Site
from rocketjob_contrib.mission_control.tokens import Token

log = Logger("rocketjob.web")
NO_TOKEN = "The token is not known, has expired, or was revoked"
AWAY = "The store cannot be reached, so nobody knows whose token it is"


async def identify(site: Site, request: Request) -> Identity:
    """Return who sends a request.

    Raises:
        Refused: somebody who may not even look, or another site.
    """
    text = tokens.bearer_of(request.headers.get("authorization"))
    if text is None:
        return await gate.identify(site, request)
    if request.cookies and is_cross_site(request.method, request.headers):
        raise Refused(CROSS_SITE)  # no program sends cookies: a browser does
    token = await run_in_threadpool(_asked, text)
    if token is None:
        raise Refused(NO_TOKEN)
    still = functools.partial(tokens.is_active, token.id)
    grant = functools.partial(tokens.grant_of, token.name)
    return Identity(token.name, frozenset({token.role}), still, grant)


def _asked(text: str) -> Token | None:
    try:
        return tokens.used(text)
    except Exception as error:  # whoever it is, nothing is told while that cannot be found out
        log.warning("a token cannot be looked at", error=message_of(error)[:300])
        raise Refused(AWAY) from error


def refusal(request: Request, refused: Refused) -> Response:
    """Return the answer to somebody who may not look."""
    if str(refused) == CROSS_SITE:
        return problems.response(403, CROSS_SITE)
    if str(refused) == AWAY:
        return problems.response(503, AWAY)
    return problems.response(401, str(refused), headers={"www-authenticate": "Bearer"})


DOOR = Door(ApiView, identify, refusal)
