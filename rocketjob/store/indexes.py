"""Indexes that more than one feature needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def unique_while(key: str, states: Iterable[str]) -> dict[str, Any]:
    """Return the index that lets no two documents in these states have the same value of a key.

    The state is judged by the index itself, whoever changed it: also a process that has not loaded
    the class, and so runs none of its callbacks. A document without the key is not looked at.
    """
    return {
        "keys": [(key, 1)],
        "name": key,
        "unique": True,
        "partialFilterExpression": {key: {"$exists": True}, "state": {"$in": list(states)}},
    }
