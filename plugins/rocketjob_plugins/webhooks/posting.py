"""Posting to a URL: to an address that was looked at, and not to a private one unless allowed."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Timer
from urllib.parse import urlsplit

from rocketjob_plugins.webhooks.outbox import NotTaken, Refused

NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Those that `is_global` takes for public, in some versions of Python: NAT64 of one's own,
# site-local addresses, and IPv4 within IPv6 as it was first written.
NOT_PUBLIC = [ipaddress.ip_network(name) for name in ("64:ff9b:1::/48", "fec0::/10", "::/96")]


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, allow_local: bool
) -> int:
    """Post, and return the status that was answered; a redirect is not followed.

    Args:
        timeout: seconds for all of it: an answer that comes byte by byte is not waited for.

    Raises:
        Refused: the host has a private address.
        NotTaken, OSError: it could not be reached, does not speak HTTP, or took too long.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, port = parts.hostname or "", parts.port
    connection = _Connection(host, port, timeout, parts.scheme == "https", allow_local)
    timer = Timer(timeout, connection.give_up)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", path, body, dict(headers))
        return connection.getresponse().status
    except (http.client.HTTPException, OSError) as error:
        if connection.is_late:
            raise NotTaken(f"the receiver did not answer within {timeout} seconds") from error
        if isinstance(error, OSError):
            raise
        raise NotTaken(f"the receiver does not speak HTTP: {error!r}") from error
    finally:
        timer.cancel()
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Connects to the addresses that were looked at, not to what the name means a moment later."""

    def __init__(
        self, host: str, port: int | None, timeout: float, tls: bool, allow_local: bool
    ) -> None:
        self._tls, self._allow_local = tls, allow_local
        self.is_late = False
        self.default_port = 443 if tls else 80  # which the header Host does not name
        super().__init__(host, port or self.default_port, timeout=timeout)

    def give_up(self) -> None:
        """End what another thread waits for."""
        self.is_late = True
        if (sock := self.sock) is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # without a word of TLS

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not self._allow_local:
            refuse_private(self.host, addresses)
        self.sock = self._first_that_answers(addresses)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
        if self.is_late:  # before there was a socket that could be shut
            raise TimeoutError
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    def _first_that_answers(self, addresses: list[str]) -> socket.socket:
        for number, address in enumerate(addresses, 1):
            try:
                return socket.create_connection((address, self.port), self.timeout)
            except OSError:
                if number == len(addresses) or self.is_late:
                    raise
        raise OSError("the host has no address")


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
    if any(ip in network for network in NOT_PUBLIC):
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast
