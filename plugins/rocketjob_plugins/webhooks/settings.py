"""The settings of the table `[webhooks]`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import rocketjob
from rocketjob.base.settings import Setting, strings, whole
from rocketjob.base.text import did_you_mean

LONGEST_TIMEOUT = 30  # seconds: a delivery takes less than `outbox.LEASE`, also if it connects late
EVENTS = ("jobs.failed", "batch.completed", "server.dead")


def wrong_with_url(url: str) -> str | None:
    """Say why nothing can be posted to a URL, or return None."""
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
        return "must not contain a user or password: what is posted is signed with secret"
    if not url.isascii() or any(character <= " " for character in url):
        return "must consist of ASCII characters without blanks"
    return None


def _urls(value: Any) -> list[str]:
    urls = strings(value)
    for number, url in enumerate(urls, 1):
        if problem := wrong_with_url(url):
            raise ValueError(f"has a wrong URL, number {number}: it {problem}")
    return list(dict.fromkeys(urls))


def _timeout(value: Any) -> int:
    seconds = whole(1)(value)
    if seconds > LONGEST_TIMEOUT:
        raise ValueError(f"must be at most {LONGEST_TIMEOUT}")
    return seconds


def _events(value: Any) -> list[str]:
    events = strings(value)
    for event in events:
        if event not in EVENTS:
            hint = did_you_mean(event, EVENTS, f"there is {', '.join(EVENTS)}")
            raise ValueError(f"must be names of events, not {event!r}; {hint}")
    return events


SETTINGS: list[Setting[Any]] = [
    Setting("urls", [], _urls, "where events are posted", table="webhooks", secret=True),
    Setting("secret", None, str, "the key that signs them", table="webhooks", secret=True),
    Setting("events", list(EVENTS), _events, "which are posted", table="webhooks"),
    Setting(
        "allow_local",
        False,
        bool,
        "whether to post to this machine and to private networks",
        table="webhooks",
    ),
    Setting("attempts", 12, whole(1), "how often a message is tried", table="webhooks"),
    Setting("timeout_seconds", 10, _timeout, "for an answer of a receiver", table="webhooks"),
    Setting("keep_days", 7, whole(1), "days that the log of deliveries is kept", table="webhooks"),
]


def own() -> Any:
    """Return the settings of this process."""
    return rocketjob.settings("webhooks")
