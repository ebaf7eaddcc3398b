"""The messages that are to be delivered: documents in a collection, until they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from bson import ObjectId

from rocketjob import now, settings
from rocketjob.application import current
from rocketjob.server.checks import OK, WARNING, Finding, Patient
from rocketjob.store import Collection, Stored
from rocketjob_plugin_notify.content import LONGEST

COLLECTION = "notify.outbox"
LEASE = timedelta(minutes=2)  # in which nobody else tries it: longer than any delivery takes
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)
LATE = timedelta(minutes=15)


def message(content: Stored, channel: str, to: str | list[str]) -> Stored:
    """Return a new message: what it says, to whom, and how."""
    return {
        "_id": ObjectId(),
        "channel": channel,
        "to": to,
        "content": content,
        "created_at": content["at"],
        "next_at": content["at"],
        "attempts": 0,
    }


def addressed(
    content: Stored, url: str | None = None, addresses: Sequence[str] = ()
) -> list[Stored]:
    """Return the messages that tell something to everybody who is to know, and to nobody twice.

    Args:
        url: where it is posted; the setting if not given.
        addresses: whom it is mailed to; the setting if there are none.
    """
    own = settings("notify")
    found = []
    if url := url or own.url:
        found.append(message(content, "webhook", url))
    if addresses := addresses or own.mail_to:
        found.append(message(content, "mail", list(addresses)))
    return found


def messages() -> Collection:
    """Return the collection."""
    return current().store.collection(COLLECTION)


def is_any_due() -> bool:
    return messages().find_one({"next_at": {"$lte": now()}}, {"_id": 1}) is not None


def take() -> Stored | None:
    """Return the message that has been due for longest, and keep others from it for a while.

    If this process dies it is due again after that, and may be delivered twice.
    """
    at = now()
    return messages().find_one_and_update(
        {"next_at": {"$lte": at}},
        {"$set": {"next_at": at + LEASE}, "$inc": {"attempts": 1}},
        sort=[("next_at", 1)],
        return_document=True,
    )


def delivered(message: Stored) -> None:
    messages().delete_one({"_id": message["_id"]})


def failed(message: Stored, error: str, give_up: bool = False) -> bool:
    """Note that a delivery failed; return whether it is tried again."""
    attempts = message["attempts"]
    note: dict[str, Any] = {"error": error[:LONGEST], "failed_at": now()}
    if give_up or attempts >= settings("notify").attempts:
        messages().update_one({"_id": message["_id"]}, {"$set": note, "$unset": {"next_at": ""}})
        return False
    wait = min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)
    again = {**note, "next_at": now() + wait}
    messages().update_one({"_id": message["_id"]}, {"$set": again})
    return True


def retry_given_up() -> int:
    """Have messages tried again that were given up; return how many."""
    again = {"$set": {"next_at": now(), "attempts": 0}}
    return messages().update_many({"next_at": None}, again).modified_count


def forget_old() -> None:
    """Remove messages that were given up long ago."""
    before = now() - timedelta(days=settings("notify").keep_days)
    messages().delete_many({"next_at": None, "created_at": {"$lt": before}})


def whom(message: Stored) -> str:
    """Name the receiver; of a URL only the host, since a path may be as good as a password."""
    to = message["to"]
    return ", ".join(to) if isinstance(to, list) else str(urlsplit(to).hostname)


def look(patient: Patient) -> Iterator[Finding]:
    """Look for messages that were given up, or that nobody delivers."""
    stored = patient.store.collection(COLLECTION)
    given_up = stored.count_documents({"next_at": None})
    if given_up:
        advice = "see why: rocketjob notify list; then rocketjob notify retry"
        yield Finding("notify", WARNING, f"{given_up} messages were given up", advice)
    late = stored.count_documents({"next_at": {"$lt": now() - LATE}})
    if late:
        advice = "does a server run NotifyDeliveryJob?"
        yield Finding("notify", WARNING, f"{late} messages are late", advice)
    if not given_up and not late:
        yield Finding("notify", OK, "no message is late or was given up")
