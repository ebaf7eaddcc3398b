"""Places in the order of the queue, and the jobs on either side of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocketjob.store import Filter

Place = tuple[int, Any]  # priority and id: where a job stands in the order


def place_of(stored: Mapping[str, Any]) -> Place:
    """Return where a job stands in the order of the queue."""
    return stored["priority"], stored["_id"]


def behind(place: Place) -> list[Filter]:
    """Return the filters that together find the jobs behind a place."""
    return _beyond(place, "$gt", "$gte")


def in_front_of(place: Place) -> list[Filter]:
    """Return the filters that together find the jobs in front of a place."""
    return _beyond(place, "$lt", "$lte")


def more_urgent_than(place: Place) -> Filter:
    """Return one filter that finds the jobs in front of a place."""
    return _either(place, "$lt")


def _beyond(place: Place, beyond: str, at_least: str) -> list[Filter]:
    # The second says nothing new, but it is all that MongoDB can look up. SQLite takes the first.
    return [_either(place, beyond), {"priority": {at_least: place[0]}}]


def _either(place: Place, beyond: str) -> Filter:
    priority, id = place
    same = {"priority": priority, "_id": {beyond: id}}
    return {"$or": [{"priority": {beyond: priority}}, same]}
