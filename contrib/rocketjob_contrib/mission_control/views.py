"""Saved views: addresses of lists with a name. One's own are kept in the browser.

Those that everybody has are in the settings: `web.views`, and `WebSettings.views`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from rocketjob.store import context
from rocketjob_contrib.mission_control.cookies import VIEWS, YEAR, set_cookie
from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.own_paths import VIEWS as SHARED
from rocketjob_contrib.mission_control.own_paths import is_own_path

if TYPE_CHECKING:
    from starlette.responses import Response

    from rocketjob_contrib.mission_control.view import View

MOST = 20
LONGEST_NAME = 40
LONGEST_COOKIE = 3_500  # browsers drop cookies above 4 KB


@attrs.frozen
class SavedView:
    """A name and the path that it leads to, with its parameters."""

    name: str
    path: str


@attrs.frozen
class Views:
    """The views that somebody has: those that everybody has, and his or her own."""

    shared: tuple[SavedView, ...]
    own: tuple[SavedView, ...]


def views_for(view: View) -> Views:
    """Return the views of whoever looks."""
    everybody = {**SHARED.of(context.current().config), **view.site.settings.views}
    shared = [SavedView(name, path) for name, path in everybody.items()]
    return Views(tuple(shared), tuple(_own(view.request.cookies)))


def _own(cookies: Mapping[str, str]) -> list[SavedView]:
    """Return the views that the browser keeps; whatever makes no sense is left out."""
    try:
        rows = json.loads(base64.urlsafe_b64decode(cookies.get(VIEWS, "").encode()))
    except (ValueError, binascii.Error, RecursionError):
        return []
    kept: dict[str, SavedView] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) == 2 and _is_fit(*row):
            kept.setdefault(row[0], SavedView(*row))
    return list(kept.values())[:MOST]


def _is_fit(name: object, path: object) -> bool:
    if not isinstance(name, str) or not isinstance(path, str):
        return False
    return 0 < len(name) <= LONGEST_NAME and name.isprintable() and is_own_path(path)


def save(view: View) -> Response:
    """Keep a view under a name, or forget the one of that name; then go back."""
    name = " ".join(view.form.get("name", "").split())
    path = view.form.get("path", "")
    kept = [each for each in _own(view.request.cookies) if each.name != name]
    if view.form.get("forget"):
        said = f"The view {name} is forgotten"
    elif not _is_fit(name, path):
        raise BadRequest(f"A view needs a name of 1 to {LONGEST_NAME} characters")
    else:
        kept.append(SavedView(name, path))
        said = f"This browser keeps the view {name}"
    value = base64.urlsafe_b64encode(
        json.dumps([[each.name, each.path] for each in kept], ensure_ascii=False).encode()
    ).decode()
    if len(kept) > MOST or len(value) > LONGEST_COOKIE:
        raise BadRequest("There is no room for another view: forget one of the others first")
    view.say("success", said)
    response = view.go(view.back("/"))
    set_cookie(response, VIEWS, value, view.site.root(view.request), max_age=YEAR)
    return response
