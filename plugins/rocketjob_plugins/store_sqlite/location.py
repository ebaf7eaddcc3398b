"""The URL of an embedded store: `sqlite:///relative.db`, `sqlite:////abs.db`, `sqlite://:memory:`.

Options: `?synchronous=FULL` (default NORMAL) and `?timeout=SECONDS` (default 30).
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from rocketjob.base.errors import ConfigurationError

MEMORY: Final = ":memory:"
SYNCHRONOUS: Final = ("NORMAL", "FULL", "EXTRA")
LOG: Final = "-wal"
INDEX: Final = "-shm"  # of the log, in memory that the processes share


class Location(NamedTuple):
    """Where a store is, and how to use it."""

    url: str
    path: str  # absolute, or ":memory:"
    synchronous: str
    timeout: float  # seconds for which a writer waits for another

    @property
    def absolute_url(self) -> str:
        """The URL as it is from every directory."""
        if self.in_memory:
            return self.url
        options = self.url.partition("?")[1:]
        return "sqlite:///" + self.path.replace("%", "%25").replace("?", "%3F") + "".join(options)

    @property
    def is_to_be_made(self) -> bool:
        """Whether there is no file yet, and one could be made."""
        folder, is_there = os.path.dirname(self.path), os.path.lexists(self.path)
        return not self.in_memory and not is_there and os.path.isdir(folder)

    @property
    def in_memory(self) -> bool:
        """Whether the store exists only in this process."""
        return self.path == MEMORY


def beside(path: str, suffix: str) -> str:
    """Return the path of the log or its index: SQLite puts them where a symbolic link leads."""
    return os.path.realpath(path) + suffix


def parse(url: str) -> Location:
    """Parse a URL.

    Raises:
        ConfigurationError: it is not a URL of an embedded store, or has an unknown option.
    """
    body, _, query = url.partition("?")
    synchronous, timeout = "NORMAL", 30.0
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "synchronous":
            synchronous = _synchronous(value)
        elif name == "timeout":
            timeout = _timeout(value)
        else:
            raise ConfigurationError(
                f"Unknown option {name!r} in {url!r}: only synchronous and timeout are known"
            )
    return Location(url, _path(url, body), synchronous, timeout)


def _path(url: str, body: str) -> str:
    if body in ("sqlite://:memory:", "sqlite:///:memory:"):
        return MEMORY
    path = unquote(body.removeprefix("sqlite:///"))
    if not body.startswith("sqlite:///") or not path:
        raise ConfigurationError(
            f"{url!r} is not a URL of an embedded store: write sqlite:///relative.db, "
            "sqlite:////absolute/path.db or sqlite://:memory:"
        )
    return os.path.abspath(os.path.expanduser(path))


def _synchronous(value: str) -> str:
    if value.upper() not in SYNCHRONOUS:
        raise ConfigurationError(f"synchronous={value!r}: use one of {', '.join(SYNCHRONOUS)}")
    return value.upper()


def _timeout(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 86_400:
        raise ConfigurationError(f"timeout={value!r}: use a number of seconds, such as 30")
    return seconds
