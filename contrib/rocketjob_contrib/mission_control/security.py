"""What every answer carries, and which requests are answered at all."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rocketjob_contrib.mission_control.routes import SAFE

CANNOT_STREAM = "rocketjob.cannot_stream"
"""The key of a scope in which a host says that a stream would hold one of its few threads."""
_HOST = re.compile(r"(\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9.-]+))(:[0-9]*)?")
OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
SOURCES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
)


def content_security_policy(frame_ancestors: tuple[str, ...]) -> str:
    """Return the policy: nothing but what is served here, and no script or style within a page."""
    ancestors = " ".join(frame_ancestors) or "'none'"
    return "; ".join((*SOURCES, f"frame-ancestors {ancestors}"))


class SecurityHeaders:
    """ASGI middleware: adds the headers that tell a browser to be careful."""

    def __init__(self, app: ASGIApp, frame_ancestors: tuple[str, ...] = ()) -> None:
        self.app = app
        self.headers = {
            "content-security-policy": content_security_policy(frame_ancestors),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }
        if not frame_ancestors:
            self.headers["x-frame-options"] = "DENY"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def is_cross_site(method: str, headers: Headers) -> bool:
    """Return whether another site has made a browser send this request.

    Browsers say where a request comes from; programs that are not browsers say nothing, and no
    other site can make them send anything.
    """
    if method in SAFE:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    host = headers.get("host", "").lower()
    return not host or origin.lower().partition("://")[2] != host


def is_from_script(headers: Any) -> bool:
    """Return whether the script of an open page asks, which puts the answer into the page."""
    return bool(headers.get("hx-request") == "true")


def is_local(request: Request) -> bool:
    """Return whether a request was made on this machine, under a name of this machine.

    The name counts too: a page elsewhere can have its own name lead to this machine. So do the
    headers of a proxy, which asks for somebody else.
    """
    if any(name in request.headers for name in OF_PROXIES):
        return False
    client = request.client
    host = _HOST.fullmatch(request.headers.get("host", "").lower())
    if client is None or host is None:
        return False
    return is_loopback(client.host) and is_loopback(host["v6"] or host["name"])


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
