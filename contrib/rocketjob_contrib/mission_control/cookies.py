"""What is kept in the browser: messages for the next page, and how somebody wants to see pages.

Messages are signed, so that nobody else can put words in our mouth. Neither holds a secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from starlette.responses import Response

from rocketjob.base.settings import time_zone

FLASH, LOOK, VIEWS = "rocketjob_flash", "rocketjob_look", "rocketjob_views"
KINDS = ("success", "warning", "danger")
THEMES = ("system", "light", "dark")
LONGEST = 1500  # characters of a message: browsers drop cookies above 4 KB
YEAR = 365 * 86400


@attrs.frozen
class Message:
    """Something to be said once.

    Attributes:
        kind: one of `KINDS`.
        link: a path below the mount path that it is about.
    """

    kind: str
    text: str
    link: str | None = None


@attrs.frozen
class Look:
    """How somebody wants to see pages: the time zone (None: that of the settings) and the theme."""

    zone: str | None = None
    theme: str = "system"


def pack(messages: list[Message], secret: str) -> str:
    """Return messages as the value of a cookie."""
    rows = [[m.kind, m.text[:LONGEST], m.link] for m in messages[-3:]]
    data = base64.urlsafe_b64encode(json.dumps(rows).encode()).decode()
    return f"{data}.{_signature(data, secret)}"


def unpack(value: str | None, secret: str) -> list[Message]:
    """Return the messages of a cookie; none if it was not signed here."""
    data, _, signature = (value or "").rpartition(".")
    signed = _signature(data, secret).encode()
    if not data or not hmac.compare_digest(signed, signature.encode()):
        return []
    return [Message(*row) for row in json.loads(base64.urlsafe_b64decode(data))]


def _signature(data: str, secret: str) -> str:
    return hmac.new(secret.encode(), data.encode(), hashlib.sha256).hexdigest()


def look_of(cookies: Mapping[str, str]) -> Look:
    """Return what the browser was told before; the default for whatever makes no sense."""
    theme, _, zone = cookies.get(LOOK, "").partition("|")
    return Look(zone if _is_zone(zone) else None, theme if theme in THEMES else "system")


def _is_zone(name: str) -> bool:
    try:
        return bool(name) and bool(ZoneInfo(time_zone(name)))
    except ValueError:
        return False


def set_cookie(response: Response, name: str, value: str, path: str, **options: Any) -> None:
    """Set a cookie that scripts cannot read and other sites do not send."""
    response.set_cookie(name, value, path=path or "/", httponly=True, samesite="lax", **options)
