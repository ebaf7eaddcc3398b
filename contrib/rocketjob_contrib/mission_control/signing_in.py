"""Ready ways to know who sends a request, for `WebSettings.authorize`.

`Users` asks the browser for a name and a password and compares it with a file, as `rocketjob web
--users` does. `behind_proxy` believes a proxy that has signed people in, as those for OpenID
Connect and SAML do.

The file is TOML; the hash of a password is printed by `rocketjob web-password`::

    [ada]
    password = "scrypt:…"
    roles = ["manager"]

Whoever is taken out of it is out at the next request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import secrets
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from rocketjob.base.errors import ConfigurationError
from rocketjob.base.log import Logger
from rocketjob_contrib.mission_control.access import Identity

log = Logger("rocketjob.web")
N, R, P = 2**14, 8, 5
"""The cost of a guess: 16 MB and about a tenth of a second, by OWASP's Password Storage page."""
PREFIX = "scrypt"
REALM = 'Basic realm="Mission Control", charset="UTF-8"'
REMEMBERED = 1000  # passwords that were right, for each of which no hash is made again

GUESSERS = 8  # whose passwords are tried, or wait for that; others are told to come again
PATIENCE = 1.0  # seconds that they wait


def hash_password(password: str) -> str:
    """Return the hash of a password, with its salt, for the file of users."""
    salt = secrets.token_bytes(16)
    return f"{PREFIX}:{salt.hex()}:{_scrypt(password, salt).hex()}"


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=N, r=R, p=P, maxmem=2**26, dklen=32)


@attrs.frozen
class User:
    """One person of the file."""

    salt: bytes
    hash: bytes
    identity: Identity


NOBODY = User(b"no such user", b"", Identity())


class Users:
    """Lets those in who are in a file, by HTTP's basic authentication.

    Args:
        path: of the file, which is read again whenever it has changed.

    Raises:
        ConfigurationError: it cannot be read, or is not as it should be; the message says where.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._key = secrets.token_bytes(32)
        self._reading, self._hashing = threading.Lock(), threading.Lock()
        self._guessers = threading.BoundedSemaphore(GUESSERS)
        self._right: set[bytes] = set()
        self._stamp: tuple[int, int] | None = None
        self._users: dict[str, User] = {}
        self._read()

    def __call__(self, request: Request) -> Identity | Response:
        """Return who sends a request, or the answer that has the browser ask for it."""
        given = _credentials(request.headers.get("authorization", ""))
        if given is None:
            return _ask()
        name, password = given
        try:
            with self._reading:
                self._read()
                user = self._users.get(name, NOBODY)
        except ConfigurationError as error:
            log.error("nobody can sign in", error=str(error))
            return PlainTextResponse("The file of users is not as it should be\n", 503)
        told = hmac.digest(self._key, f"{name}\0{password}".encode() + user.hash, "sha256")
        if told in self._right:  # whoever is known waits for no guess of others
            return user.identity
        return self._guessed(user, told, password)

    def _guessed(self, user: User, told: bytes, password: str) -> Identity | Response:
        """Try a password: one at a time, as each takes memory and time; few wait for that."""
        if not self._guessers.acquire(blocking=False):
            return _busy()
        try:
            if not self._hashing.acquire(timeout=PATIENCE):
                return _busy()
            try:
                return user.identity if self._is_right(user, told, password) else _ask()
            finally:
                self._hashing.release()
        finally:
            self._guessers.release()

    def _is_right(self, user: User, told: bytes, password: str) -> bool:
        if told in self._right:  # by now
            return True
        if not hmac.compare_digest(_scrypt(password, user.salt), user.hash):
            return False
        if len(self._right) >= REMEMBERED:
            self._right.clear()
        self._right.add(told)
        return True

    def _read(self) -> None:
        try:
            status = self.path.stat()
            stamp = status.st_mtime_ns, status.st_size
            if stamp == self._stamp:
                return
            content = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigurationError(f"{self.path}: {error}") from error
        self._users = {name: self._user(name, value) for name, value in content.items()}
        self._stamp = stamp

    def _user(self, name: str, value: Any) -> User:
        try:
            unknown = set(value) - {"password", "roles"}
            if unknown:
                raise ValueError(f"there is no key {min(unknown)}; those are password and roles")
            kind, salt, hashed = value["password"].split(":")
            if kind != PREFIX or ":" in name:
                raise ValueError("the password is not one that rocketjob web-password has printed")
            found = User(bytes.fromhex(salt), bytes.fromhex(hashed), _identity(name, value))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = str(error) if isinstance(error, ValueError) else WRONG
            raise ConfigurationError(f"{self.path}: [{name}]: {why}") from None
        return found


WRONG = 'needs a password = "scrypt:…", as rocketjob web-password prints it, and may have roles'


def _identity(name: str, value: Mapping[str, Any]) -> Identity:
    roles = value.get("roles", [])
    if not isinstance(roles, list):
        raise ValueError(f"roles must be a list of names, not {roles!r}")
    return Identity(name, roles=frozenset(roles))


def _credentials(header: str) -> tuple[str, str] | None:
    """Return name and password of the header Authorization; None if it has none."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(coded.strip(), validate=True).decode()
    except ValueError:  # also what is not ASCII
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


def _ask() -> Response:
    return PlainTextResponse("Sign in first\n", 401, headers={"www-authenticate": REALM})


def _busy() -> Response:
    text = "Too many are signing in: try again in a moment\n"
    return PlainTextResponse(text, 503, headers={"retry-after": "1"})


def behind_proxy(
    header: str,
    proxies: Iterable[str],
    roles: Mapping[str, Iterable[str]] | Callable[[str], Iterable[str] | None],
) -> Callable[[Request], Identity | None]:
    """Return an `authorize` that takes the name of whoever asks from a header of a proxy.

    A request that comes from anywhere else is let in by no header.

    Args:
        header: such as `X-Forwarded-User`, which the proxy always sets, or removes.
        proxies: addresses, or networks such as `10.0.0.0/8`, that requests of the proxy come from.
        roles: of each person, by name; whoever is not in it, or for whom it returns None, may not
            even look.

    Raises:
        ValueError: a proxy is neither an address nor a network.
    """
    networks = [ipaddress.ip_network(proxy) for proxy in proxies]
    roles_of = roles if callable(roles) else roles.get

    def authorize(request: Request) -> Identity | None:
        names = request.headers.getlist(header)
        if len(names) != 1 or not names[0].strip() or not _is_within(request, networks):
            return None
        name = names[0].strip()
        found = roles_of(name)
        return None if found is None else Identity(name, roles=frozenset(found))

    return authorize


def _is_within(
    request: Request, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(address in network for network in networks)
