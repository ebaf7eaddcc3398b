"""What happened to a job: its last changes of state, kept in the job's own document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from rocketjob.base.clock import to_utc
from rocketjob.base.passwords import bounded, hide_passwords
from rocketjob.model.record import HISTORY, HISTORY_LIMIT
from rocketjob.model.types import plain_datetime


@attrs.frozen
class HistoryEntry:
    """One change of state.

    Attributes:
        event: such as `start`, `fail`, or `recover` for work taken back from a dead server.
        state: the state that it led to.
        at: when, UTC.
        worker_name: which worker, if one did it.
        claim_number: the claim that was held; it grows with each claim of the job.
        reason: why, for example the exception of a failed attempt.
    """

    event: str
    state: str
    at: datetime
    worker_name: str | None = None
    claim_number: int | None = None
    reason: str | None = None

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> HistoryEntry:
        return cls(
            event=stored.get("event", ""),
            state=stored.get("state", ""),
            at=to_utc(stored["at"]),
            worker_name=stored.get("worker"),
            claim_number=stored.get("claim"),
            reason=stored.get("reason"),
        )


def entry(
    event: str,
    state: str,
    at: datetime,
    worker: str | None = None,
    claim: int | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return a new entry as it is stored."""
    made: dict[str, Any] = {"event": event, "state": state, "at": plain_datetime(at)}
    if worker is not None:
        made["worker"] = worker
    if claim:
        made["claim"] = claim
    if reason is not None:
        made["reason"] = hide_passwords(bounded(reason))[:500].encode("utf-8", "ignore").decode()
    return made


def push(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the part of an update that appends entries and drops the oldest."""
    return {HISTORY: {"$each": list(entries), "$slice": -HISTORY_LIMIT}}
