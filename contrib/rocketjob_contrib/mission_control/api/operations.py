"""`Operation`: one thing that programs can do by the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from rocketjob_contrib.mission_control.api.schemas import Schema, text, whole
from rocketjob_contrib.mission_control.routes import SAFE, Route, Target

PREFIX = "/api/v1"
MOST = 200  # rows of a page
LIMIT = whole(1, MOST)
CURSOR = text(500)
Match = Literal["no", "may", "must"]


@attrs.frozen(kw_only=True)
class Operation(Route):
    """One operation: a route below `/api/v1`, with what is said of it in the OpenAPI document.

    Attributes:
        name: unique, such as `pause_job`.
        summary: one sentence.
        returns: the schema of the answer; None: there is none (204).
        media_types: that the answer may have.
        status: of the answer.
        query: the parameters in the URL, by name.
        body: the schema of what is sent; None: nothing is.
        match: whether the header If-Match may, or must, say what was seen.
        has_etag: whether the answer has what If-Match wants, in the header ETag.
        pages: the paths of routes of pages of which this does the work, besides its own path; if
            it changes nothing, those that it has the content of.
        is_derived: whether it was made of the route of a page, see `derived`.
    """

    name: str
    summary: str
    returns: Schema | None = None
    media_types: tuple[str, ...] = ("application/json",)
    status: int = 200
    query: Mapping[str, Schema] = attrs.field(factory=dict)
    body: Schema | None = None
    match: Match = "no"
    has_etag: bool = False
    pages: tuple[str, ...] = ()
    is_derived: bool = False

    @property
    def method(self) -> str:
        return self.methods[0]

    def does(self, path: str, method: str) -> bool:
        """Return whether it does what the route of a page does, or has what that shows."""
        if self.changes == (method in SAFE):
            return False
        if path in self.pages:
            return True
        return path == self.path and (method == "DELETE") == (self.method == "DELETE")


def operation(
    line: str,
    answer: Callable[[Any], Any],
    name: str,
    summary: str,
    *,
    permission: str = "read",
    target: Target | None = None,
    **more: Any,
) -> Operation:
    """Return an operation.

    Args:
        line: its method and its path below `/api/v1`, such as `GET /jobs/{id}`.
        answer: called with an `ApiView`; it returns a response of Starlette.
        more: attributes of `Operation`.
    """
    method, _, path = line.partition(" ")
    return Operation(
        path=path,
        view=answer,
        permission=permission,
        methods=(method,),
        target=target,
        name=name,
        summary=summary,
        **more,
    )


def shown_at(*paths: str) -> tuple[str, ...]:
    """Return the routes of the pages of a list: each has the form that tables once asked for."""
    return tuple(f"{path}{ending}" for path in paths for ending in ("", ".json"))


PAGED: dict[str, Schema] = {"limit": LIMIT, "cursor": CURSOR}
"""The parameters of every list."""
