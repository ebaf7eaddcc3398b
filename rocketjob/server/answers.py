"""Answers: what processes say to a question that was put to them through the store.

A question is an event with the parameter `question`, the number that whoever answers gives back.
Each process stores its answer; whoever asked collects them until the deadline, and knows who is
silent: a process that is gone, that cannot reach the store, or in which nothing can run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.base import clock
from rocketjob.model.types import decode_any, encode_any
from rocketjob.server import events
from rocketjob.store import context

COLLECTION = "rocket_job.answers"
INDEXES: dict[str, list[dict[str, Any]]] = {
    COLLECTION: [{"keys": [("question", 1)], "name": "question"}]
}
LOOK_SECONDS = 0.1


@attrs.frozen
class Answers:
    """What was answered.

    Attributes:
        given: what each said, by its name.
        silent: the names of those that did not answer in time.
    """

    given: Mapping[str, dict[str, Any]]
    silent: tuple[str, ...]


def ask(
    name: str,
    action: str,
    whom: Iterable[str],
    seconds: float = 5.0,
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> Answers:
    """Put a question to processes, and return what they answer.

    Args:
        name: of the event, and so of the subscribers that answer.
        whom: who is to answer. Who an answer speaks of as `others`, by name, is to answer too.
        seconds: that they have, besides what they may take to hear of it on a store that has to be
            polled.
        parameters: of the action, besides `question`.

    Raises:
        ValueError: a parameter cannot be stored.
    """
    current = context.current()
    if not current.store.capabilities.wake_up:
        seconds += current.config.max_poll_seconds
    question, deadline = os.urandom(8).hex(), clock.monotonic() + seconds
    expected, given = list(dict.fromkeys(whom)), dict[str, dict[str, Any]]()
    if not expected:
        return Answers(given, ())
    collection = current.store.collection(COLLECTION)
    events.publish(name, action, question=question, **parameters)
    try:
        while True:
            for stored in collection.find({"question": question}):
                given[stored["who"]] = decode_any(stored["content"])
            others = (other for each in given.values() for other in each.get("others", ()))
            expected = list(dict.fromkeys([*expected, *others]))
            silent = tuple(who for who in expected if who not in given)
            left = deadline - clock.monotonic()
            if not silent or left <= 0:
                return Answers(given, silent)
            _pause(min(LOOK_SECONDS, left))
    finally:
        collection.delete_many({"question": question})


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def give(question: str, who: str, **content: Any) -> None:
    """Answer a question.

    Args:
        who: the name under which an answer is expected.
        content: the answer; values that can be stored.
    """
    context.current().store.collection(COLLECTION).insert_one(
        {
            "_id": ObjectId(),
            "question": question,
            "who": who,
            "content": encode_any(content),
            "created_at": clock.now(),
        }
    )


def remove_old() -> int:
    """Remove answers that came when nobody waited for them any more."""
    old = {"created_at": {"$lt": clock.now() - events.KEPT}}
    return context.current().store.collection(COLLECTION).delete_many(old).deleted_count
