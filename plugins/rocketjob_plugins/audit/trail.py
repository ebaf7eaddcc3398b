"""The records of the audit: what they have, how they are found, and when they are removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.application import current
from rocketjob.base import clock

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
    audit, filter = current().store.collection(COLLECTION), _filter(by, job, name, event, since)
    for stored in audit.find(filter, sort=[("_id", -1)], skip=skip, limit=limit):
        yield loaded(stored)


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
    audit = current().store.collection(COLLECTION)
    return audit.count_documents(_filter(by, job, name, event, since), limit=at_most)


def _filter(
    by: str | None,
    job: ObjectId | None,
    name: str | None,
    event: str | None,
    since: datetime | None,
) -> dict[str, Any]:
    wanted: dict[str, Any] = {"by": by, "target": job, "name": name, "event": event}
    filter = {key: value for key, value in wanted.items() if value is not None}
    return filter if since is None else {**filter, "at": {"$gte": since}}


def loaded(stored: dict[str, Any]) -> AuditRecord:
    """Return a record, whatever something else has written into it."""
    at = stored.get("at")
    texts = {key: stored.get(key) for key in ("by", "reason", "name")}
    required = {key: stored.get(key) for key in ("via", "how", "event", "kind")}
    changes = {key: stored.get(key) for key in ("before", "after")}
    parts: dict[str, Any] = {
        "at": at if isinstance(at, datetime) else stored["_id"].generation_time,
        **{key: None if value is None else str(value) for key, value in texts.items()},
        **{key: str(value or "") for key, value in required.items()},
        "id": stored.get("target"),
        **{key: value if isinstance(value, dict) else {} for key, value in changes.items()},
    }
    return AuditRecord(**parts)


def remove_old(days: int) -> int:
    """Remove records that are older; return how many."""
    audit = current().store.collection(COLLECTION)
    old = {"at": {"$lt": clock.now() - timedelta(days=days)}}
    removed = 0
    while ids := [each["_id"] for each in audit.find(old, {"_id": 1}, limit=BATCH)]:
        removed += audit.delete_many({"_id": {"$in": ids}}).deleted_count
    return removed
