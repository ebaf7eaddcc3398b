"""Paths below the mount path, and the views of lists that everybody has; it needs no extra."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rocketjob.base.settings import Setting

_OURS = re.compile(r"/(?!/)[^\\\x00-\x1f\x7f]*")
"""A path below ours: browsers take two slashes for another site, also with a tab between, and a
slash with a backslash."""


def is_own_path(text: str) -> bool:
    """Return whether a text is a path below ours, with or without parameters."""
    return _OURS.fullmatch(text) is not None


def paths_by_name(value: Any) -> dict[str, str]:
    """Return views: the path of each by its name; a string is JSON.

    Raises:
        ValueError: it is no such table, or leads to another site.
    """
    try:
        views = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(views, Mapping):
        raise ValueError('must be a table such as {"Failed imports": "/jobs/failed?q=import"}')
    for name, path in views.items():
        if not isinstance(path, str) or not is_own_path(path):
            raise ValueError(f"must have a path such as /jobs/failed for {name}, not {path!r}")
    return dict(views)


VIEWS: Setting[dict[str, str]] = Setting(
    "views", {}, paths_by_name, "lists that everybody finds under Views, by name", table="web"
)
