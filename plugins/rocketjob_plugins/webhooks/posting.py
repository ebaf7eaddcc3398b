"""Posting to a URL: to an address that was looked at, and not to a private one unless allowed."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from rocketjob_plugins.webhooks.outbox import NotTaken, Refused

NAT64 = ipaddress.ip_network("64:ff9b::/96")


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, allow_local: bool
) -> int:
    """Post, and return the status that was answered; a redirect is not followed.

    Raises:
        Refused: the host has a private address.
        NotTaken, OSError: it could not be reached, or does not speak HTTP.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, port = parts.hostname or "", parts.port
    connection = _Connection(host, port, timeout, parts.scheme == "https", allow_local)
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
        self, host: str, port: int | None, timeout: float, tls: bool, allow_local: bool
    ) -> None:
        self._tls, self._allow_local = tls, allow_local
        super().__init__(host, port or (443 if tls else 80), timeout=timeout)

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not self._allow_local:
            refuse_private(self.host, addresses)
        connected = _first_that_answers(addresses, self.port, self.timeout)
        if self._tls:
            context = ssl.create_default_context()
            connected = context.wrap_socket(connected, server_hostname=self.host)
        self.sock = connected


def refuse_private(host: str, addresses: Iterable[str]) -> None:
    """Refuse a host that is this machine, or in a private network.

    Raises:
        Refused: names the host and the setting.
    """
    for address in addresses:
        if not is_public(address):
            raise Refused(
                f"{host} has the private address {address}: set allow_local = true in "
                "[webhooks] if messages may go there"
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
