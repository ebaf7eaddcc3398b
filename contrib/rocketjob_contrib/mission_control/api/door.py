"""How programs come in: by a token, or as the pages do; and what those are told who may not."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rocketjob_contrib.mission_control import gate
from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.api import problems
from rocketjob_contrib.mission_control.api.view import ApiView
from rocketjob_contrib.mission_control.gate import CROSS_SITE, Door, Refused
from rocketjob_contrib.mission_control.site import Site


async def identify(site: Site, request: Request) -> Identity:
    """Return who sends a request.

    Raises:
        Refused: somebody who may not even look, or another site.
    """
    return await gate.identify(site, request)


def refusal(request: Request, refused: Refused) -> Response:
    """Return the answer to somebody who may not look."""
    if str(refused) == CROSS_SITE:
        return problems.response(403, CROSS_SITE)
    return problems.response(401, str(refused), headers={"www-authenticate": "Bearer"})


DOOR = Door(ApiView, identify, refusal)
