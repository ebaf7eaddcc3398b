"""The settings of the table `[notify]`, and what is checked of them and of the fields of jobs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from rocketjob.base.settings import Setting, strings, whole

ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Refused(Exception):
    """The receiver, or a rule of this plugin, will never take the message."""


def wrong_with_url(url: str) -> str | None:
    """Say why messages cannot be posted to a URL, or return None."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not parts.hostname:
        return "has no host"
    if "@" in parts.netloc:
        return "must not contain a user or password: use the setting secret of [notify]"
    if not url.isascii() or any(character <= " " for character in url):
        return "must consist of ASCII characters without blanks"
    return None


def is_address(value: Any) -> bool:
    """Return whether a value is an address for mail, alone and on one line."""
    return isinstance(value, str) and ADDRESS.fullmatch(value) is not None


def _url(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if problem := wrong_with_url(value):
        raise ValueError(problem)
    return value


def _smtp(value: Any) -> str:
    parts = urlsplit(value if isinstance(value, str) else "")
    if parts.scheme not in SMTP_PORTS or not parts.hostname:
        kinds = ", ".join(f"{scheme}://" for scheme in SMTP_PORTS)
        raise ValueError(f"must be a URL such as smtp://mail.example.com; there are {kinds}")
    return str(value)


def _addresses(value: Any) -> list[str]:
    addresses = strings(value)
    if wrong := [address for address in addresses if not is_address(address)]:
        raise ValueError(f"has {wrong[0]!r}, which is not an address")
    return addresses


def _address(value: Any) -> str:
    if not is_address(value):
        raise ValueError("must be an address such as rocketjob@example.com")
    return str(value)


SETTINGS: list[Setting[Any]] = [
    Setting("url", None, _url, "where messages are posted, unless a job says", table="notify",
            secret=True),
    Setting("secret", None, str, "the key that signs what is posted", table="notify", secret=True),
    Setting("allow_internal", False, bool, "whether to post to this machine and private networks",
            table="notify"),
    Setting("smtp", None, _smtp, "the mail server, smtp:// smtp+starttls:// or smtps://",
            table="notify", secret=True),
    Setting("mail_from", "rocketjob@localhost", _address, "who mails", table="notify"),
    Setting("mail_to", [], _addresses, "whom to mail, unless a job says", table="notify"),
    Setting("crashes", True, bool, "whether url and mail_to are told of dead servers and workers",
            table="notify"),
    Setting("attempts", 12, whole(1), "deliveries that are tried of a message", table="notify"),
    Setting("timeout_seconds", 10, whole(1), "for an answer of a receiver", table="notify"),
    Setting("keep_days", 7, whole(1), "days that messages are kept that were never delivered",
            table="notify"),
]  # fmt: skip
