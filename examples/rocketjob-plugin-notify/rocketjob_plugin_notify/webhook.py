"""Posting a message to a webhook, signed, and not to a private address unless that is allowed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from rocketjob import now
from rocketjob.store import Stored
from rocketjob_plugin_notify.options import Refused, wrong_with_url

SIGNATURE = "X-RocketJob-Signature"
GONE = 410
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotTaken(Exception):
    """The receiver did not answer with 200 to 299."""


def post(message: Stored, own: Any) -> None:
    """Post a message as JSON; whoever gets it twice knows that by its id.

    Raises:
        NotTaken, OSError: it is worth another try.
        Refused: it is not.
    """
    url = message["to"]
    if problem := wrong_with_url(url):
        raise Refused(f"the URL {problem}")
    content = {"id": str(message["_id"]), **message["content"]}
    body = json.dumps(content, default=lambda value: value.isoformat()).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "rocketjob-plugin-notify"}
    if own.secret:
        headers[SIGNATURE] = signature(own.secret, body, int(now().timestamp()))
    status = _post(url, body, headers, own.timeout_seconds, own.allow_internal)
    if status == GONE:
        raise Refused("the receiver answered 410: it is gone")
    if not 200 <= status < 300:  # a redirect is not followed: it could lead to a private address
        raise NotTaken(f"the receiver answered {status}")


def _post(
    url: str, body: bytes, headers: Mapping[str, str], timeout: float, allow_internal: bool
) -> int:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _Connection(
        parts.hostname or "", parts.port, timeout, parts.scheme, allow_internal
    )
    try:
        connection.request("POST", path, body, dict(headers))
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise NotTaken(f"the receiver does not speak HTTP: {error!r}") from error
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Connects to the addresses that were looked at, not to what the name means a moment later."""

    def __init__(
        self, host: str, port: int | None, timeout: float, scheme: str, allow_internal: bool
    ) -> None:
        self._tls, self._allow_internal = scheme == "https", allow_internal
        super().__init__(host, port or (443 if self._tls else 80), timeout=timeout)

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if not self._allow_internal:
            refuse_private(self.host, addresses)
        connected = _first_that_answers(addresses, self.port, self.timeout)
        if self._tls:
            context = ssl.create_default_context()
            connected = context.wrap_socket(connected, server_hostname=self.host)
        self.sock = connected


def refuse_private(host: str, addresses: Iterable[str]) -> None:
    """Refuse a host that is this machine, or in a private network: a job could reach into it.

    Raises:
        Refused: names the host and the setting.
    """
    for address in addresses:
        if not is_public(address):
            raise Refused(
                f"{host} has the private address {address}; set allow_internal = true in [notify] "
                "if messages may go there"
            )


def is_public(address: str) -> bool:
    """Return whether an address is one of the public network, also that of IPv4 within IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _first_that_answers(addresses: list[str], port: int, timeout: Any) -> socket.socket:
    for number, address in enumerate(addresses, 1):
        try:
            return socket.create_connection((address, port), timeout)
        except OSError:
            if number == len(addresses):
                raise
    raise OSError("the host has no address")


# --- signatures ------------------------------------------------------------------------------


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the value of the header that tells who has written a body, and when."""
    signed = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def is_signed(
    secret: str, body: bytes, header: str, *, seconds: int = 300, at: float | None = None
) -> bool:
    """Return whether a body comes from who knows the secret, and lately: for receivers.

    Args:
        header: the value of X-RocketJob-Signature.
        seconds: how old it may be, so that it is not sent again by somebody who overheard it.
        at: the time; the present if not given.
    """
    written = dict(part.partition("=")[::2] for part in header.split(",")).get("t", "")
    if not written.isascii() or not written.isdigit():
        return False
    expected = signature(secret, body, int(written)).encode()
    is_fresh = abs((time.time() if at is None else at) - int(written)) <= seconds
    return hmac.compare_digest(expected, header.encode("utf-8", "replace")) and is_fresh
