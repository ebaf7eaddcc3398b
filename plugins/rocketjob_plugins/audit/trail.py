"""The records of the audit: what they have, how they are found, and when they are removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.application import current
from rocketjob.base import clock
from rocketjob.store import Stored

COLLECTION = "rocket_job.audit"
BATCH = 1000  # removed in one step
SHOWN = 60  # characters of a value in a line


@attrs.frozen(kw_only=True)
class AuditRecord:
    """One change that a person made.

    Attributes:
        at: when, UTC.
        by: who; None where it is not known.
        via: `command`, `web`, `api` or `code`.
        how: which command, or which page.
        reason: why, if that was said.
        event: such as `retry`, `create`, `save`, `destroy`, `compact`.
        kind: of what: `job`, `Server`, `DirmonEntry`, `store` ...
        id: of it.
        name: a job's class, a server's name.
        before: what it was, as far as it was changed.
        after: what it is.
    """

    at: datetime
    by: str | None = None
    via: str = ""
    how: str = ""
    reason: str | None = None
    event: str = ""
    kind: str = ""
    id: Any = None
    name: str | None = None
    before: dict[str, Any] = attrs.field(factory=dict)
    after: dict[str, Any] = attrs.field(factory=dict)

    @property
    def what(self) -> str:
        """What was changed, in words."""
        words = " ".join(filter(None, ("" if self.kind == "job" else self.kind, self.name)))
        if self.id is None or str(self.id) in words:  # a document without a name has its id for it
            return words
        return f"{words} {self.id}".lstrip()

    @property
    def change(self) -> str:
        """What was changed of it, in words."""
        keys = dict.fromkeys((*self.before, *self.after))
        if self.before and self.after:
            return ", ".join(
                f"{key} {brief_value(self.before.get(key))} -> {brief_value(self.after.get(key))}"
                for key in keys
                if self.before.get(key) != self.after.get(key)
            )
        values = self.before or self.after
        return ", ".join(
            f"{key}={brief_value(value)}" for key, value in values.items() if value is not None
        )


def brief_value(value: Any) -> str:
    """Return a value as it is shown within a line."""
    if value is None:
        return "none"
    text = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


@attrs.frozen(kw_only=True)
class Wanted:
    """Which records are meant; None: any.

    Attributes:
        by: of this person.
        job: of the job with this id.
        name: of jobs of this class, or of a server, entry and so on of this name.
        event: of this event.
        since: from then on.
        before: stored before the one with this id.
    """

    by: str | None = None
    job: ObjectId | None = None
    name: str | None = None
    event: str | None = None
    since: datetime | None = None
    before: ObjectId | None = None

    def filter(self) -> dict[str, Any]:
        wanted = {"by": self.by, "target": self.job, "name": self.name, "event": self.event}
        filter: dict[str, Any] = {k: v for k, v in wanted.items() if v is not None}
        if self.since is not None:
            filter["at"] = {"$gte": self.since}
        if self.before is not None:
            filter["_id"] = {"$lt": self.before}
        return filter


def stored_records(wanted: Wanted, *, skip: int = 0, limit: int = 0) -> Iterator[Stored]:
    """Yield what is stored of records, the newest first."""
    audit = current().store.collection(COLLECTION)
    return iter(audit.find(wanted.filter(), sort=[("_id", -1)], skip=skip, limit=limit))


def records(
    *,
    by: str | None = None,
    job: ObjectId | None = None,
    name: str | None = None,
    event: str | None = None,
    since: datetime | None = None,
    skip: int = 0,
    limit: int = 0,
) -> Iterator[AuditRecord]:
    """Yield records, the newest first.

    Args:
        by: of this person.
        job: of the job with this id.
        name: of jobs of this class, or of a server, entry and so on of this name.
        event: of this event.
        since: from then on.
        skip: leave out so many of the newest.
        limit: at most so many; 0 for all.
    """
    wanted = Wanted(by=by, job=job, name=name, event=event, since=since)
    yield from map(loaded, stored_records(wanted, skip=skip, limit=limit))


def count_records(
    *,
    by: str | None = None,
    job: ObjectId | None = None,
    name: str | None = None,
    event: str | None = None,
    since: datetime | None = None,
    at_most: int,
) -> int:
    """Return how many of these records there are, counted up to a number; see `records`."""
    wanted = Wanted(by=by, job=job, name=name, event=event, since=since)
    return current().store.collection(COLLECTION).count_documents(wanted.filter(), limit=at_most)


def loaded(stored: Stored) -> AuditRecord:
    """Return a record, whatever something else has written into it."""
    texts = {key: stored.get(key) for key in ("by", "reason", "name")}
    required = {key: stored.get(key) for key in ("via", "how", "event", "kind")}
    changes = {key: stored.get(key) for key in ("before", "after")}
    parts: dict[str, Any] = {
        "at": _at(stored),
        **{key: None if value is None else str(value) for key, value in texts.items()},
        **{key: str(value or "") for key, value in required.items()},
        "id": stored.get("target"),
        **{key: value if isinstance(value, dict) else {} for key, value in changes.items()},
    }
    return AuditRecord(**parts)


def _at(stored: Stored) -> datetime:
    """Return when it was: by its id if its time is missing; 1970 if nobody knows."""
    at, id = stored.get("at"), stored["_id"]
    if isinstance(at, datetime):
        return at
    return id.generation_time if isinstance(id, ObjectId) else datetime.fromtimestamp(0, UTC)


def remove_old(days: int) -> int:
    """Remove records that are older; return how many."""
    audit = current().store.collection(COLLECTION)
    old = {"at": {"$lt": clock.now() - timedelta(days=days)}}
    removed = 0
    while ids := [each["_id"] for each in audit.find(old, {"_id": 1}, limit=BATCH)]:
        removed += audit.delete_many({"_id": {"$in": ids}}).deleted_count
    return removed
