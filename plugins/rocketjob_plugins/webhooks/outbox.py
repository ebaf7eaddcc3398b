"""The messages: documents that are to be delivered, and then the log of how they were.

A message names its receiver by a hash of the URL, which may be as good as a password, and by the
host, for people. A receiver that is taken out of the settings is posted to no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.passwords import hide_passwords
from rocketjob.server.checks import OK, WARNING, Finding, Patient
from rocketjob.store import Collection, Filter, Insert, Stored, context
from rocketjob_plugins.webhooks.settings import own

COLLECTION = "rocket_job.webhooks"
LEASE = timedelta(minutes=2)  # in which nobody else tries it: longer than a delivery takes
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)
LATE = timedelta(minutes=15)
LONGEST = 500  # characters of an error
LOGGED = 20  # attempts of a message that are kept, the newest


class Refused(Exception):
    """The receiver, or a setting here, will never take the message."""


class NotTaken(Exception):
    """The receiver did not answer with 200 to 299; it may do so later."""


def key_of(url: str) -> str:
    """Return by what a message names its receiver."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def url_of(message: Stored) -> str | None:
    """Return where a message goes; None if that is no longer among the settings."""
    return next((url for url in own().urls if key_of(url) == message.get("receiver")), None)


def messages_of(event: str, content: Mapping[str, Any]) -> list[Stored]:
    """Return new messages that tell an event to everybody who is to know."""
    settings = own()
    if event not in settings.events:
        return []
    return [message_to(url, event, content) for url in settings.urls]


def message_to(url: str, event: str, content: Mapping[str, Any]) -> Stored:
    """Return a new message for one receiver."""
    now = clock.now()
    return {
        "_id": ObjectId(),
        "event": event,
        "receiver": key_of(url),
        "host": str(urlsplit(url).hostname),
        "content": dict(content),
        "state": "waiting",
        "created_at": now,
        "next_at": now,
        "attempts": 0,
    }


def inserts(event: str, content: Mapping[str, Any]) -> list[Insert]:
    """Return what is stored together with what has happened."""
    return [Insert(COLLECTION, message) for message in messages_of(event, content)]


def store(event: str, content: Mapping[str, Any]) -> bool:
    """Store what is to be told; return whether anybody is to know."""
    found = messages_of(event, content)
    if found:
        messages().insert_many(found)
    return bool(found)


def messages() -> Collection:
    """Return the collection."""
    return context.current().store.collection(COLLECTION)


def is_any() -> bool:
    return messages().find_one({}, {"_id": 1}) is not None


def is_any_due() -> bool:
    return messages().find_one(_due(clock.now()), {"_id": 1}) is not None


def _due(now: datetime) -> Filter:
    """Return the filter of those to deliver; none whose count of attempts is damaged."""
    return {"next_at": {"$lte": now}, "attempts": {"$gte": 0}}


def take() -> Stored | None:
    """Return the message that has been due for longest, and keep others from it for a while.

    If this process dies it is due again after that, and may be delivered twice. One that nobody has
    lived to tell of, as often as it may be tried, is given up.
    """
    while True:
        now = clock.now()
        message = messages().find_one_and_update(
            _due(now),
            {"$set": {"next_at": now + LEASE}, "$inc": {"attempts": 1}},
            sort=[("next_at", 1)],
            return_document=True,
        )
        if message is None or message["attempts"] <= own().attempts:
            return message
        failed(message, "it was tried too often, and nobody told what came of it", for_good=True)


def log_of(message: Mapping[str, Any]) -> list[Any]:
    """Return what came of each attempt."""
    log = message.get("log")
    return [each for each in log if isinstance(each, dict)] if isinstance(log, list) else []


# --- what came of it ---------------------------------------------------------------------------


def delivered(message: Stored, status: int) -> None:
    """Note that the receiver has taken a message."""
    _note(message, {"status": status}, "delivered", None)


def failed(message: Stored, why: str, *, for_good: bool) -> bool:
    """Note that it has not; return whether it is tried again."""
    attempts = message["attempts"]
    again = not for_good and attempts < own().attempts
    wait = min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)
    next_at = clock.now() + wait if again else None
    error = hide_passwords(why)[:LONGEST]
    _note(message, {"error": error}, "waiting" if again else "given_up", next_at)
    return again


def _note(message: Stored, outcome: dict[str, Any], state: str, next_at: Any) -> None:
    log = [*log_of(message), {"at": clock.now(), **outcome}][-LOGGED:]
    values = {"log": log, "state": state}
    update: dict[str, Any] = {"$set": values}
    if next_at is None:
        update["$unset"] = {"next_at": ""}
    else:
        values["next_at"] = next_at
    # Only for as long as it is this process's: one that took longer leaves it to whoever has it.
    messages().update_one({"_id": message["_id"], "attempts": message["attempts"]}, update)


def retry_given_up() -> int:
    """Have messages tried again that were given up; return how many."""
    again = {"$set": {"state": "waiting", "next_at": clock.now(), "attempts": 0}}
    return messages().update_many({"state": "given_up"}, again).modified_count


def forget_old() -> None:
    """Remove what was delivered, or given up, long ago."""
    before = clock.now() - timedelta(days=own().keep_days)
    messages().delete_many({"next_at": {"$exists": False}, "created_at": {"$lt": before}})


def look(patient: Patient) -> Iterator[Finding]:
    """Look for messages that were given up, or that nobody delivers."""
    stored = patient.store.collection(COLLECTION)
    given_up = stored.count_documents({"state": "given_up"}, limit=1000)
    if given_up:
        advice = "see why: rocketjob webhooks list; then rocketjob webhooks retry"
        yield Finding("webhooks", WARNING, f"{given_up} messages were given up", advice)
    late = stored.count_documents({"next_at": {"$lt": clock.now() - LATE}}, limit=1000)
    if late:
        advice = "does a server run WebhookDeliveryJob?"
        yield Finding("webhooks", WARNING, f"{late} messages are late", advice)
    unsigned = own().urls and not own().secret
    if unsigned:
        advice = "set secret in [webhooks]: receivers check with it who has posted"
        yield Finding("webhooks", WARNING, "messages are posted without a signature", advice)
    if own().urls and not given_up and not late and not unsigned:
        yield Finding("webhooks", OK, "no message is late or was given up")
