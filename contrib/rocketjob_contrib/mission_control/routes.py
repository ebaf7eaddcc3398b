"""The table of routes: each says which permission it needs, and the gate sees to that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

SAFE = ("GET", "HEAD")
Handler = Callable[[Any], Any]
"""What is called with a `View`, and returns a response of Starlette."""
Target = Callable[[Any], Any]
"""What is called with a `View`, and returns what it is about."""


@attrs.frozen
class Route:
    """One path of a section.

    Attributes:
        path: below the mount path, such as `/jobs/{id}`.
        view: called with a `View`, on a thread of its own; it returns a response of Starlette.
        permission: the name of what somebody must be allowed to do.
        methods: of HTTP. All but GET change something: read-only mode refuses them.
        target: returns what the view is about, such as the job with the id in the path. The
            permission is then asked for it, and the view finds it as `view.target`.
        in_browser: whether it changes only what the browser keeps, also in read-only mode.
    """

    path: str = attrs.field(validator=attrs.validators.matches_re(r"/.*"))
    view: Handler
    permission: str
    methods: tuple[str, ...] = ("GET",)
    target: Target | None = None
    in_browser: bool = False

    @property
    def changes(self) -> bool:
        """Whether a call changes something."""
        return any(method not in SAFE for method in self.methods)


def get(
    path: str,
    view: Handler,
    permission: str = "read",
    target: Target | None = None,
) -> Route:
    """Return the route of a page that is only looked at."""
    return Route(path, view, permission, ("GET",), target)


def change(
    path: str,
    view: Handler,
    permission: str,
    target: Target | None = None,
    methods: Iterable[str] = ("POST",),
) -> Route:
    """Return the route of something that changes what is stored."""
    return Route(path, view, permission, tuple(methods), target)


def asked_first(
    path: str,
    ask: Handler,
    do: Handler,
    permission: str,
    target: Target | None = None,
    methods: Iterable[str] = ("POST", "PATCH"),
) -> list[Route]:
    """Return the routes of an action: to look at its path asks whether it is meant.

    Args:
        do: what is called with the answer, which is sent to the same path.
    """
    return [get(path, ask, permission, target), change(path, do, permission, target, methods)]
