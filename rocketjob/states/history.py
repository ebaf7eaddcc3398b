"""What happened to a job: its last changes of state, kept in the job's own document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from rocketjob.base.clock import to_utc
from rocketjob.base.passwords import brief
from rocketjob.model.record import HISTORY, HISTORY_LIMIT
from rocketjob.model.types import plain_datetime

RELEASE = "give_back"  # the event of a released claim; stores of every version have it by this name

_TEXTS = ("event", "state", "worker", "reason", "by")


@attrs.frozen
class HistoryEntry:
    """One change of state.

    Attributes:
        event: such as `start`, `fail`, or `requeue` for work reclaimed from a dead server.
        state: the state that it led to.
        at: when, UTC.
        worker_name: which worker, if one did it.
        claim_number: the claim that was held; it grows with each claim of the job.
        reason: why, for example the exception of a failed attempt.
        count: how often it happened in a row; only for claims that were released.
        since: when it first did so, UTC; None if it happened once.
        by: the login of who did it, where it was a person who is known.
    """

    event: str
    state: str
    at: datetime
    worker_name: str | None = None
    claim_number: int | None = None
    reason: str | None = None
    count: int = 1
    since: datetime | None = None
    by: str | None = None

    @staticmethod
    def is_stored_as(stored: Any) -> bool:
        """Return whether a value is a stored entry, and not what something else has written."""
        return (
            isinstance(stored, Mapping)
            and isinstance(stored.get("at"), datetime)
            and isinstance(stored.get("since", stored["at"]), datetime)
            and all(isinstance(stored.get(key, ""), str | None) for key in _TEXTS)
        )

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> HistoryEntry:
        return cls(
            event=stored.get("event", ""),
            state=stored.get("state", ""),
            at=to_utc(stored["at"]),
            worker_name=stored.get("worker"),
            claim_number=stored.get("claim"),
            reason=stored.get("reason"),
            count=stored.get("count", 1),
            since=to_utc(stored["since"]) if "since" in stored else None,
            by=stored.get("by"),
        )


def entry(
    event: str,
    state: str,
    at: datetime,
    worker: str | None = None,
    claim: int | None = None,
    reason: str | None = None,
    by: str | None = None,
) -> dict[str, Any]:
    """Return a new entry as it is stored."""
    stored: dict[str, Any] = {"event": event, "state": state, "at": plain_datetime(at)}
    if worker is not None:
        stored["worker"] = worker
    if claim:
        stored["claim"] = claim
    if reason is not None:
        stored["reason"] = brief(reason)
    if by is not None:
        stored["by"] = by
    return stored


def push(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the part of an update that appends entries and drops the oldest."""
    return {HISTORY: {"$each": list(entries), "$slice": -HISTORY_LIMIT}}


def released(present: Sequence[Mapping[str, Any]], entry: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an update that notes a released claim, for its holder to write.

    A job that waits for a throttle is claimed and released at each look. In a row these are one
    entry that counts, so that they do not push out what happened before.

    Args:
        present: the history as it is stored, which ends with the start by this claim.
    """
    events = [event.get("event") for event in present[-2:]]
    if events != [RELEASE, "start"]:
        return {"$push": push([entry])}
    last = present[-2]
    counted = {"count": last.get("count", 1) + 1, "since": last.get("since", last["at"])}
    return {"$set": {HISTORY: [*present[:-2], {**entry, **counted}]}}
