"""What the methods of a collection return, with pymongo's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class InsertedOne:
    """What `insert_one` did."""

    inserted_id: Any
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class InsertedMany:
    """What `insert_many` did."""

    inserted_ids: list[Any]
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class Updated:
    """What `update_one` or `update_many` did."""

    matched_count: int
    modified_count: int
    upserted_id: Any = None
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class Deleted:
    """What `delete_one` or `delete_many` did."""

    deleted_count: int
    acknowledged: bool = True
