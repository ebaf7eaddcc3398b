"""Which writes are no news: they happen all the time, and nobody waits for them.

A server beats, takes leases and turns, and adds to its metrics whether or not there is work. If
that woke who is idle, each idle process would ask its questions again, for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By collection the fields whose change is news: none, or some. New documents of a collection with
# some are news, and removed ones; all changes of any other collection are.
QUIET_UNLESS: dict[str, tuple[str, ...]] = {
    "rocket_job.servers": ("state", "name", "draining_at", "drain_seconds"),  # not `heartbeat`
    "rocket_job.limits": (),  # and the leases: what they guard is written besides
    "rocket_job.turns": (),
    "rocket_job.metrics.minutes": (),
    "rocket_job.metrics.hours": (),
    "rocket_job.answers": (),  # who has asked looks by himself
}


def news_only() -> list[dict[str, Any]]:
    """Return the stages with which a change stream tells of news alone, as little as can be."""
    fields = {name: fields for name, fields in QUIET_UNLESS.items() if fields}
    changed = [
        clause
        for field in sorted({field for each in fields.values() for field in each})
        for clause in (
            {f"updateDescription.updatedFields.{field}": {"$exists": True}},
            {"updateDescription.removedFields": field},
        )
    ]
    news = [
        {"ns.coll": {"$nin": sorted(QUIET_UNLESS)}},
        {"ns.coll": {"$in": sorted(fields)}, "operationType": {"$ne": "update"}},
        {"ns.coll": {"$in": sorted(fields)}, "$or": changed},
    ]
    return [{"$match": {"$or": news}}, {"$project": {"_id": 1}}]


def is_quiet(name: str, command: Mapping[str, Any]) -> bool:
    """Return whether a command writes nothing that is news.

    Args:
        name: of the command.
        command: as it is sent.
    """
    fields = QUIET_UNLESS.get(str(command.get(name)))
    if fields is None:
        return False
    if not fields:
        return True
    if name != "update":
        return False
    return not any(_touches(each.get("u"), fields) for each in command.get("updates", ()))


def _touches(update: Any, fields: tuple[str, ...]) -> bool:
    """Return whether an update may change one of these fields."""
    if not isinstance(update, Mapping) or not all(key.startswith("$") for key in update):
        return True  # a whole document, or a pipeline
    return any(key.partition(".")[0] in fields for part in update.values() for key in part)
