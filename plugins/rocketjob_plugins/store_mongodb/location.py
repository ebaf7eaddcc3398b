"""URLs of MongoDB: our own options apart from pymongo's, and passwords out of sight.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from rocketjob.base.errors import ConfigurationError

T = TypeVar("T")
DEFAULT_DATABASE = "rocketjob"
DEFAULTS = {
    "appname": "rocketjob",
    # The driver repeats, once, what it can repeat without doing it twice: an election is not seen.
    "retrywrites": True,
    "retryreads": True,
    # A claim or an end that one member alone has stored is undone if that member is lost, and the
    # job would run again. With the journal of most members it stays.
    "w": "majority",
    # How long a command waits for a primary. An election takes less, mostly two seconds; who gives
    # up sooner fails with each, and who waits longer stands still where the URL is wrong.
    "serverselectiontimeoutms": 10_000,
    # For a new connection, TLS and password included. A host that swallows everything is given up.
    "connecttimeoutms": 10_000,
    # For an answer. Longer than any command takes that RocketJob sends, since what is cut off may
    # be done all the same; and no connection that died in silence keeps a thread for ever.
    "sockettimeoutms": 60_000,
    # For a free connection of this process: a pool that is exhausted is an error, no standstill.
    "waitqueuetimeoutms": 10_000,
}
# Connections of a process besides one for each worker thread: the claimer, the heartbeat, the
# wake-up, the threads of the loop; in a web application its 40 threads. They are made on demand.
SPARE_CONNECTIONS = 50
OWN = {"rocketjobtransactions": "transactions", "rocketjobwakeup": "wake_up"}
WAKE_UPS = ("changeStreams", "tailable", "polling")  # from the best to what always works
EXAMPLE = "It is such as mongodb://user:password@host:27017/database?replicaSet=rs0"
_PATH = re.compile(r"mongodb(?:\+srv)?://[^/]*/([^/@]*)")
_PASSWORD = re.compile(r"(://[^:/@?]*):[^/?]*@")
# Of a URL that is not quite one: rather too much than a part of a password.
_LIKE_A_PASSWORD = re.compile(r"(?i)(mongodb(?:\+srv)?:/*[^:/@?\s]*):(?!\*\*\*@)\S*@")
_QUOTE = (
    "its user or password has characters that have to be quoted there: %2F for /, %3F for ?, "
    "%40 for @, %3A for :, %25 for %"
)
_SECRET = re.compile(r"(?i)\b(tlsCertificateKeyFilePassword|AWS_SESSION_TOKEN)([=:])[^&,]*")


class Location(NamedTuple):
    """A URL as pymongo takes it, and what it says about transactions and waking idle workers."""

    url: str
    transactions: bool | None
    wake_up: str | None


def parse(url: str) -> Location:
    """Take our own options out of a URL.

    Raises:
        ConfigurationError: one has a value that it cannot have.
    """
    base, _, query = url.partition("?")
    if (path := _PATH.fullmatch(base)) and "." in path[1]:  # pymongo would take it for a collection
        raise ConfigurationError(
            f"{hide_password(url)} is not a URL for MongoDB: the database {path[1]} has a dot in "
            f"its name, which none can have. {EXAMPLE}"
        )
    kept, options = [], dict[str, str]()
    for option in query.split("&") if query else ():
        name, _, value = option.partition("=")
        if name.lower() in OWN:
            options[OWN[name.lower()]] = value
        else:
            kept.append(option)
    return Location(
        "?".join([base, *filter(None, ["&".join(kept)])]),
        _choice(
            "rocketjobTransactions", options.get("transactions"), {"true": True, "false": False}
        ),
        _choice("rocketjobWakeUp", options.get("wake_up"), {name: name for name in WAKE_UPS}),
    )


def _choice(name: str, given: str | None, choices: Mapping[str, T]) -> T | None:
    if given is None or given.lower() == "auto":
        return None
    for choice, meaning in choices.items():
        if choice.lower() == given.lower():
            return meaning
    known = ", ".join(choices)
    raise ConfigurationError(f"{name} in the store's URL is {known} or auto, not {given!r}")


def make_client(
    url: str,
    listeners: Sequence[Any] = (),
    connections: int = 2 * SPARE_CONNECTIONS,
    **instead: Any,
) -> Any:
    """Return pymongo's client of a URL; it connects when it is first used.

    Args:
        listeners: told of every command, as pymongo has it.
        connections: how many it may have at once, if the URL does not say.
        instead: options that overrule those of the URL.

    Raises:
        ConfigurationError: the URL is wrong, or has an option that pymongo does not know.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    _quieten()
    given = {option.partition("=")[0].lower() for option in url.partition("?")[2].split("&")}
    defaults = {**DEFAULTS, "maxpoolsize": connections}
    options: dict[str, Any] = {n: value for n, value in defaults.items() if n not in given}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # that is how it reports unknown options
            client: Any = pymongo.MongoClient(
                url,
                tz_aware=True,
                uuidRepresentation="standard",
                event_listeners=listeners,
                **(options | instead),
            )
        if not client.write_concern.acknowledged:
            client.close()
            raise ValueError("w=0 would not tell whether anything was stored: use w=majority")
    except (PyMongoError, UserWarning, ValueError, OSError) as error:
        # What pymongo says of a password that is not quoted has pieces of it.
        problem = hide_password(str(error))
        unclear = "@" in url and not _PASSWORD.search(url) and "scheme" not in problem
        problem = _QUOTE if unclear or "RFC 3986" in problem else problem
        shown = hide_password(url)
        raise ConfigurationError(
            f"{shown} is not a URL for MongoDB: {problem}. {EXAMPLE}"
        ) from None
    return client


def _quieten() -> None:
    """Keep pymongo's debug messages out of our log: each holds a command, documents and all."""
    logger = logging.getLogger("pymongo")
    if logger.level == logging.NOTSET:  # whoever wants them sets it
        logger.setLevel(logging.INFO)


def hide_password(text: str) -> str:
    """Return a URL, or text with URLs in it, without passwords."""
    for secret in (_PASSWORD, _LIKE_A_PASSWORD):
        text = secret.sub(r"\1:***@", text)
    return _SECRET.sub(r"\1\2***", text)
