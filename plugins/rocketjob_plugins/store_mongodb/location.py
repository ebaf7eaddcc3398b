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
    "retrywrites": True,
    "retryreads": True,
    "w": "majority",
    "serverselectiontimeoutms": 10_000,  # an election takes less
    "connecttimeoutms": 10_000,
    "sockettimeoutms": 60_000,  # a network that swallows everything is noticed, if late
    "waitqueuetimeoutms": 10_000,  # a pool that is exhausted is an error, not a standstill
    "maxpoolsize": 100,
}
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


def make_client(url: str, listeners: Sequence[Any] = (), **instead: Any) -> Any:
    """Return pymongo's client of a URL; it connects when it is first used.

    Args:
        listeners: told of every command, as pymongo has it.
        instead: options that overrule those of the URL.

    Raises:
        ConfigurationError: the URL is wrong, or has an option that pymongo does not know.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    _quieten()
    given = {option.partition("=")[0].lower() for option in url.partition("?")[2].split("&")}
    options: dict[str, Any] = {n: value for n, value in DEFAULTS.items() if n not in given}
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
