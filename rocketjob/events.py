"""Events: short messages to every process that listens, through the store.

`publish` stores one; each process that has a `Listener` hands it to its subscribers. An event is
an announcement, not work: it is delivered at most once to each process, and kept for an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from rocketjob import application, clock
from rocketjob.codec import check_any, decode_any, encode_any
from rocketjob.log import Logger

if TYPE_CHECKING:
    from rocketjob.subscribers import Subscriber

log = Logger("rocketjob.events")
COLLECTION = "rocket_job.events"
INDEXES: dict[str, list[dict[str, Any]]] = {
    COLLECTION: [{"keys": [("created_at", 1)], "name": "created_at"}]
}
KEPT = timedelta(hours=1)
OVERLAP = timedelta(seconds=10)  # clocks differ: look back so far for what was not seen yet
PAUSE = 0.2  # seconds between two looks at a store that changes all the time

_subscribers: dict[str, list[Subscriber]] = {}
_lock = threading.Lock()


def publish(name: str, action: str, /, **parameters: Any) -> None:
    """Announce something to all subscribers of `name`, in whichever process.

    Raises:
        ValueError: a parameter that cannot be stored.
    """
    said = check_any(parameters)
    if said:
        raise ValueError(f"event {name}.{action}: {said}")
    application.current().store.collection(COLLECTION).insert_one(
        {
            "_id": ObjectId(),
            "name": name,
            "action": action,
            "parameters": encode_any(parameters),
            "created_at": clock.now(),
        }
    )


def add(name: str, subscriber: Subscriber) -> None:
    """Hand events of this name to a subscriber; `*` for all events."""
    with _lock:
        _subscribers.setdefault(name, []).append(subscriber)


def remove(name: str, subscriber: Subscriber) -> None:
    """Stop doing so."""
    with _lock:
        present = _subscribers.get(name, [])
        if subscriber in present:
            present.remove(subscriber)


def dispatch(name: str, action: str, parameters: Mapping[str, Any]) -> None:
    """Hand an event to this process's subscribers; none of them can disturb another."""
    with _lock:
        found = [*_subscribers.get(name, ())]
        everything = [*_subscribers.get("*", ())]
    for subscriber in found:
        _guarded(subscriber, lambda s: s.process_action(action, parameters))
    for subscriber in everything:
        _guarded(subscriber, lambda s: s.process_event(name, action, parameters))


def _guarded(subscriber: Subscriber, call: Any) -> None:
    try:
        call(subscriber)
    except Exception:
        log.exception("a subscriber failed", subscriber=type(subscriber).__name__)


class Listener:
    """A thread that waits for events and dispatches them."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._since = clock.now()
        self._seen: dict[ObjectId, datetime] = {}
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> Listener:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        store = application.current().store
        while not self._stopping.is_set():
            try:
                mark = store.change_mark()
                self.read()
                store.wait_for_change(mark, 5.0, self._stopping)
                self._stopping.wait(PAUSE)
            except Exception as error:
                log.warning("cannot listen for events", error=str(error))
                self._stopping.wait(1.0)

    def read(self) -> int:
        """Dispatch what came since the last look; return how many events."""
        horizon = self._since - OVERLAP
        found = list(
            application.current()
            .store.collection(COLLECTION)
            .find({"created_at": {"$gt": horizon}}, sort=[("created_at", 1)])
        )
        new = [each for each in found if each["_id"] not in self._seen]
        first_look = not self._seen
        for each in new:
            self._seen[each["_id"]] = each["created_at"]
            if first_look and each["created_at"] < self._since:
                continue  # it was announced before this process listened
            dispatch(each["name"], each["action"], decode_any(each.get("parameters") or {}))
        if found:
            self._since = max(self._since, found[-1]["created_at"])
            self._seen = {k: v for k, v in self._seen.items() if v > self._since - OVERLAP}
        return len(new)


def remove_old() -> int:
    """Remove the events that are older than an hour; servers do it now and then."""
    collection = application.current().store.collection(COLLECTION)
    return collection.delete_many({"created_at": {"$lt": clock.now() - KEPT}}).deleted_count
