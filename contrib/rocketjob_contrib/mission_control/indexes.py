"""Indexes that lists need; without the extra too, so that nothing here imports it."""

from __future__ import annotations

from typing import Any

from rocketjob.store import Filter

HAS_ENDED: Filter = {"completed_at": {"$exists": True}}
ENDED: dict[str, Any] = {
    "keys": [("state", 1), ("completed_at", 1), ("_id", 1)],
    "name": "ended",
    "partialFilterExpression": HAS_ENDED,
}
"""Jobs that have ended or rest, by when they did; a job that waits or runs costs nothing here."""
