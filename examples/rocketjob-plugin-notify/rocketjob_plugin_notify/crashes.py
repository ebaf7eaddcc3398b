"""Telling that a server or a worker process died."""

from __future__ import annotations

from datetime import timedelta

from rocketjob import DuplicateKey, Server, now, settings
from rocketjob.application import current
from rocketjob.store import Collection, Stored
from rocketjob_plugin_notify import outbox
from rocketjob_plugin_notify.delivery import deliver_what_is_due

COLLECTION = "notify.crashes"
QUIET = timedelta(minutes=10)  # a job that crashes its process again and again fills no mailbox
KEPT = timedelta(days=1)  # hosts that have a new name at each start are not kept for ever


def tell(content: Stored) -> None:
    """Tell the receivers of the settings, if they want to know."""
    if not settings("notify").crashes:
        return
    for message in outbox.addressed(content):
        outbox.messages().insert_one(message)
    deliver_what_is_due()


def is_first(server: Server) -> bool:
    """Return whether no worker process of this host was told of lately; from now on one was."""
    at = now()
    lately = {"_id": server.host, "at": {"$lte": at - QUIET}}
    try:
        _told().update_one(lately, {"$set": {"at": at}}, upsert=True)
    except DuplicateKey:  # there is one that is not so old
        return False
    return True


def forget_old() -> None:
    _told().delete_many({"at": {"$lt": now() - KEPT}})


def _told() -> Collection:
    return current().store.collection(COLLECTION)
