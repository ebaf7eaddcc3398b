"""Events: short messages to every process that listens, through the store.

`publish` stores one; each process that has a `Listener` hands it to its subscribers. An event is
an announcement, not work: it is delivered at most once to each process, and kept for an hour.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from math import inf
from typing import Any, Protocol

from bson import ObjectId

from rocketjob.base import acts, clock
from rocketjob.base.interrupt import Interrupt
from rocketjob.base.log import Logger
from rocketjob.model import deeds
from rocketjob.model.types import check_any, decode_any, encode_any
from rocketjob.store import Insert, context
from rocketjob.store.changes import News

log = Logger("rocketjob.events")
COLLECTION = "rocket_job.events"
INDEXES: dict[str, list[dict[str, Any]]] = {
    COLLECTION: [{"keys": [("created_at", 1)], "name": "created_at"}]
}
ORDERS = "server"  # the name of events that tell servers what to do
SERVERS = "rocket_job.servers"
KEPT = timedelta(hours=1)
OVERLAP = timedelta(seconds=10)  # clocks differ: look back so far for what was not seen yet
FULL_LOOK = 5.0  # seconds between two looks at all events, for clocks that differ by more
QUIET_LOOK = 60.0  # ... if whoever tells of changes has told of none
SWEEP_SECONDS = 600.0
PAUSE = 0.2  # seconds between two looks at whether the store has changed


class Receiver(Protocol):
    """What gets events: a `Subscriber`."""

    def process_action(self, action: str, parameters: Mapping[str, Any]) -> None: ...

    def process_event(self, name: str, action: str, parameters: Mapping[str, Any]) -> None: ...


_subscribers: dict[str, list[Receiver]] = {}
_lock = threading.Lock()
_next_sweep = -inf


def publish(name: str, action: str, /, **parameters: Any) -> None:
    """Announce something to all subscribers of `name`, in whichever process.

    Raises:
        ValueError: a parameter that cannot be stored.
    """
    problem = check_any(parameters)
    if problem:
        raise ValueError(f"event {name}.{action}: {problem}")
    document = {
        "_id": ObjectId(),
        "name": name,
        "action": action,
        "parameters": encode_any(parameters),
        "created_at": clock.now(),
    }
    is_order = acts.begun and name == ORDERS and "question" not in parameters
    if not (is_order and _recorded(document)):
        context.current().store.collection(COLLECTION).insert_one(document)


def _recorded(order: dict[str, Any]) -> bool:
    """Store an order that a person gives to servers together with the record of it."""
    id, known = order["parameters"].get("server_id"), context.current().store.collection(SERVERS)
    wanted = {"name": 1, "state": 1}
    found = known.find_one({"_id": ObjectId(id)}, wanted) if ObjectId.is_valid(id) else None
    name = str(found.get("name")) if found is not None else None
    before = {"state": found.get("state")} if found is not None else {}
    together = [Insert(COLLECTION, order)]
    action = order["action"]
    return deeds.record(action, "Server", id=id, name=name, before=before, together=together)


def add(name: str, subscriber: Receiver) -> None:
    """Hand events of this name to a subscriber; `*` for all events."""
    with _lock:
        _subscribers.setdefault(name, []).append(subscriber)


def remove(name: str, subscriber: Receiver) -> None:
    """Stop doing so."""
    with _lock:
        present = _subscribers.get(name, [])
        if subscriber in present:
            present.remove(subscriber)


def dispatch(name: str, action: str, parameters: Mapping[str, Any]) -> None:
    """Hand an event to this process's subscribers; none of them can disturb another."""
    with _lock:
        subscribers = [*_subscribers.get(name, ())]
        everything = [*_subscribers.get("*", ())]
    for subscriber in subscribers:
        _guarded(subscriber, lambda s: s.process_action(action, parameters))
    for subscriber in everything:
        _guarded(subscriber, lambda s: s.process_event(name, action, parameters))


def _guarded(subscriber: Receiver, call: Any) -> None:
    try:
        call(subscriber)
    except Exception:
        log.exception("a subscriber failed", subscriber=type(subscriber).__name__)


class Listener:
    """A thread that waits for events and dispatches them.

    Args:
        news: who tells of all that is written; None: the store is asked, and looked at.
        heard: called when there were events, before they are dispatched.
    """

    def __init__(self, news: News | None = None, heard: Callable[[], object] | None = None) -> None:
        self._news, self._heard = news, heard
        self._is_full = False  # whether all events were looked at, the last time
        self._stopping = Interrupt()
        self._seen: set[ObjectId] | None = None  # None: nothing is known yet
        self._next_full_look = 0.0
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> Listener:
        try:
            self.read()  # what was announced before this process listened is not for it
        except Exception as error:
            log.warning("cannot listen for events yet", error=str(error))
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        news = self._news or context.current().store
        while not self._stopping.is_set():
            try:
                mark = news.change_mark()
                self.read()
                self._wait(news, mark)
            except Exception as error:
                log.warning("cannot listen for events", error=str(error))
                self._stopping.wait(1.0)

    def _wait(self, news: News, mark: Any) -> None:
        """Wait for a change, at leisure: quick answers are for the claimer."""
        longest = QUIET_LOOK if self._news is not None and self._is_full else FULL_LOOK
        if not self._stopping.wait(PAUSE):
            news.wait_for_change(mark, longest - PAUSE, self._stopping)

    def read(self) -> int:
        """Dispatch what came since the last look; return how many events.

        The first look dispatches nothing. Mostly only the latest events are looked at; now and
        then all of them, since the clock that an event was dated by may be wrong.
        """
        is_full = self._seen is None or clock.monotonic() >= self._next_full_look
        recent = {} if is_full else {"created_at": {"$gt": clock.now() - OVERLAP}}
        collection = context.current().store.collection(COLLECTION)
        stored = list(collection.find(recent, sort=[("created_at", 1)]))
        ids = {event["_id"] for event in stored}
        seen = ids if self._seen is None else self._seen
        self._seen = ids if is_full else seen | ids
        self._is_full = is_full
        if is_full:
            self._next_full_look = clock.monotonic() + FULL_LOOK
        new = [event for event in stored if event["_id"] not in seen]
        if new and self._heard is not None:
            self._heard()
        for event in new:
            dispatch(event["name"], event["action"], decode_any(event.get("parameters") or {}))
        return len(new)


def sweep() -> bool:
    """Remove old events every ten minutes; return whether it was time.

    Not more often: one of a process whose clock is an hour behind is old as soon as it comes, and
    must be there long enough to be heard.
    """
    global _next_sweep
    if clock.monotonic() >= _next_sweep:
        _next_sweep = clock.monotonic() + SWEEP_SECONDS
        remove_old()
        return True
    return False


def remove_old() -> int:
    """Remove the events that are older than an hour."""
    collection = context.current().store.collection(COLLECTION)
    return collection.delete_many({"created_at": {"$lt": clock.now() - KEPT}}).deleted_count


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that was not forked may have held it


os.register_at_fork(after_in_child=_after_fork)
