"""Searching and sorting a list of very many jobs, by what no index has.

The newest jobs are looked at, one after the other, until the time is up or enough have been found.
The list is then made of these, and says so: a page never has the store go through a million jobs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job
from rocketjob.store import Filter
from rocketjob.store.documents.matcher import compile_match
from rocketjob.store.documents.values import normalise
from rocketjob_contrib.mission_control.lists import Asked

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LARGE = 5_000
"""Jobs of a list; where there are more, the store is asked only for what an index has in order."""
SECONDS = 0.4
FOUND = 2_000  # which the store then has to bring in their order
LOOKED_AT = 200_000
READ = dict.fromkeys(("_type", "description", "state", "run_at", "started_at"), 1)
KEPT = 50  # searches that are remembered
AGAIN = 10  # times as long as it took: an open page asks every two seconds


@attrs.frozen
class Newest:
    """What was found among the newest jobs.

    Attributes:
        ids: of those that match.
        looked_at: how many were looked at.
        is_all: whether there are no others.
    """

    ids: list[Any]
    looked_at: int
    is_all: bool

    @property
    def remark(self) -> str | None:
        """How far it went, if there is more; for whoever reads the list."""
        if self.is_all:
            return None
        if len(self.ids) >= FOUND:
            return f"These are the newest {FOUND:,}: there are more."
        return (
            f"Only the newest {self.looked_at:,} jobs were looked at, as that took long: "
            "there may be more. Choose a state to look further back."
        )


def is_too_much(asked: Asked, total: int) -> bool:
    """Return whether the store has no index for a list, and the list is long."""

    def without_id(order: tuple[str, ...]) -> list[str]:
        return [name for name in order if name.lstrip("-") != "_id"]

    is_usual = without_id(asked.order) == without_id(asked.listing.order)
    return total > LARGE and (bool(asked.text) or not is_usual)


def newest(view: View, filter: Filter, name: str) -> Newest:
    """Return the newest jobs that match, as many as are found in time.

    Args:
        name: of what is looked for, by which it is remembered for a moment.
    """
    memory: dict[str, tuple[float, Newest]] = view.site.memory.setdefault("searches", {})
    now, known = time.monotonic(), memory.get(name)
    if known is not None and known[0] > now:
        return known[1]
    found = _look(filter)
    if len(memory) >= KEPT:
        memory.clear()
    memory[name] = (time.monotonic() + AGAIN * (time.monotonic() - now), found)
    return found


def _look(filter: Filter) -> Newest:
    matches, number = compile_match(normalise(filter)), 0
    ids: list[Any] = []
    until = time.monotonic() + SECONDS
    order = [("_id", -1)]
    for stored in Job.collection().find({}, READ, sort=order, limit=LOOKED_AT + 1):
        if number == LOOKED_AT or len(ids) == FOUND or time.monotonic() > until:
            return Newest(ids, number, is_all=False)
        number += 1
        if matches(stored):
            ids.append(stored["_id"])
    return Newest(ids, number, is_all=True)
