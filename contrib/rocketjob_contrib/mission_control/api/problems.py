"""Errors as RFC 9457 has them: `application/problem+json`, with types that stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import attrs
from starlette.responses import Response

from rocketjob.base.passwords import hide_passwords
from rocketjob_contrib.mission_control.errors import WebError

MEDIA_TYPE = "application/problem+json"
LONGEST = 2000  # characters of a message: it may quote what was sent
TYPES = {
    400: ("malformed", "The request makes no sense"),
    401: ("not-signed-in", "Say who you are"),
    403: ("forbidden", "Not allowed"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "There is no such method here"),
    409: ("conflict", "Not done: it is not as it would have to be"),
    412: ("changed", "Not done: it was changed in the meantime"),
    413: ("too-large", "Too large"),
    415: ("not-json", "A body must be JSON"),
    422: ("invalid", "Not done: something in it is wrong"),
    428: ("precondition-required", "Say what you have seen: If-Match is missing"),
    500: ("internal", "Something went wrong"),
    503: ("store-unavailable", "The store cannot be reached"),
}
"""The type of each problem behind `URN`, and its title, by the status."""
URN = "urn:rocketjob:problem:"


@attrs.frozen
class Fault:
    """One thing that is wrong in a request.

    Attributes:
        pointer: to the place in the body, as `#/fields/priority`; for a parameter its name.
    """

    pointer: str
    detail: str


class Problem(WebError):
    """A request that is not granted.

    Args:
        status: of HTTP, one of `TYPES`.
        detail: for people.
        faults: where several things, or things with a place, are wrong.
    """

    def __init__(self, status: int, detail: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(detail)
        self.status, self.faults = status, tuple(faults)


def invalid(faults: Iterable[Fault]) -> Problem:
    """Return the problem of what is wrong in a body."""
    found = list(faults)
    return Problem(422, "; ".join(f"{each.pointer} {each.detail}" for each in found), found)


def response(
    status: int,
    detail: str,
    faults: Iterable[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as it is answered."""
    name, title = TYPES.get(status, TYPES[500])
    stated = {"type": URN + name, "title": title, "status": status, "detail": _brief(detail)}
    listed = [{"pointer": f.pointer, "detail": _brief(f.detail)} for f in faults]
    text = json.dumps({**stated, **({"errors": listed} if listed else {})})
    return Response(text, status, dict(headers or {}), MEDIA_TYPE)


def _brief(text: str) -> str:
    text = hide_passwords(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
