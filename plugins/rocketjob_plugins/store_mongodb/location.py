"""URLs of MongoDB: our own options apart from pymongo's, and passwords out of sight."""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from rocketjob.errors import ConfigurationError

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
OWN = {"rocketjobtransactions": "transactions", "rocketjobchangestreams": "change_streams"}
EXAMPLE = "It is such as mongodb://user:password@host:27017/database?replicaSet=rs0"
_PASSWORD = re.compile(r"(://[^:/@?]*):[^/?#]*@")
_SECRET = re.compile(r"(?i)\b(tlsCertificateKeyFilePassword|AWS_SESSION_TOKEN)([=:])[^&,]*")


class Location(NamedTuple):
    """A URL as pymongo takes it, and what was said of transactions and change streams."""

    url: str
    transactions: bool | None
    change_streams: bool | None


def parse(url: str) -> Location:
    """Take our own options out of a URL.

    Raises:
        ConfigurationError: one has a value that is neither true, false nor auto.
    """
    parts = urlsplit(url)
    kept, own = [], dict.fromkeys(OWN.values())
    for option in parts.query.split("&") if parts.query else ():
        name, _, value = option.partition("=")
        if name.lower() in OWN:
            own[OWN[name.lower()]] = _choice(name, value)
        else:
            kept.append(option)
    return Location(urlunsplit(parts._replace(query="&".join(kept))), **own)


def _choice(name: str, value: str) -> bool | None:
    choices = {"true": True, "false": False, "auto": None}
    if value.lower() not in choices:
        raise ConfigurationError(f"{name} in the store's URL is true, false or auto, not {value!r}")
    return choices[value.lower()]


def make_client(url: str) -> Any:
    """Return pymongo's client of a URL; it connects when it is first used.

    Raises:
        ConfigurationError: the URL is wrong, or has an option that pymongo does not know.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    _quieten()
    given = {option.partition("=")[0].lower() for option in urlsplit(url).query.split("&")}
    options: dict[str, Any] = {n: value for n, value in DEFAULTS.items() if n not in given}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # that is how it reports unknown options
            client: Any = pymongo.MongoClient(
                url, tz_aware=True, uuidRepresentation="standard", **options
            )
        if not client.write_concern.acknowledged:
            client.close()
            raise ValueError("w=0 would not tell whether anything was stored: use w=majority")
    except (PyMongoError, UserWarning, ValueError) as error:
        raise ConfigurationError(
            f"{hide_password(url)} is no URL for MongoDB: {hide_password(str(error))}. {EXAMPLE}"
        ) from None
    return client


def _quieten() -> None:
    """Keep pymongo's debug messages out of our log: each holds a command, documents and all."""
    logger = logging.getLogger("pymongo")
    if logger.level == logging.NOTSET:  # whoever wants them sets it
        logger.setLevel(logging.INFO)


def hide_password(text: str) -> str:
    """Return a URL, or a text with URLs in it, without passwords."""
    return _SECRET.sub(r"\1\2***", _PASSWORD.sub(r"\1:***@", text))
