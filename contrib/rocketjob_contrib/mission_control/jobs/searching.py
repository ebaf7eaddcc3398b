"""Searching and sorting a list of very many jobs, by what no index has.

The first jobs of the list are looked at, in the order that an index has, mostly the newest, until
the time is up or enough have been found. The list is then made of these, and says so: a page never
has the store go through a million jobs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob import Job
from rocketjob.jobs.search import Search
from rocketjob.store import Filter
from rocketjob.store.documents.matcher import compile_match
from rocketjob.store.documents.values import normalise
from rocketjob_contrib.mission_control.jobs.tabs import JobTab
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
    """What was found among the newest jobs, or the first ones of the list.

    Attributes:
        ids: of those that match.
        looked_at: how many were looked at.
        is_all: whether there are no others.
        called: which jobs these are, of the list.
    """

    ids: list[Any]
    looked_at: int
    is_all: bool
    called: str = "newest"

    @property
    def remark(self) -> str | None:
        """How far it went, if there is more; for whoever reads the list."""
        if self.is_all:
            return None
        if len(self.ids) >= FOUND:
            return f"These are the {self.called} {FOUND:,}: there are more."
        return (
            f"Only the {self.called} {self.looked_at:,} jobs were looked at, as that took long: "
            "there may be more. Choose a state to look further back."
        )


def is_too_much(asked: Asked, total: int) -> bool:
    """Return whether the store has no index for a list, and the list is long."""

    def without_id(order: tuple[str, ...]) -> list[str]:
        return [name for name in order if name.lstrip("-") != "_id"]

    is_usual = without_id(asked.order) == without_id(asked.listing.order)
    return total > LARGE and (bool(asked.text) or not is_usual)


def newest(view: View, tab: JobTab, search: Search | None, total: int) -> Newest:
    """Return the first jobs of a list that match, as many as are found in time.

    Args:
        total: how many jobs the list has.
    """
    name = f"{tab.name} {view.may_quote()} {search.text if search else ''}"  # what it is kept by
    memory: dict[str, tuple[float, Newest]] = view.site.memory.setdefault("searches", {})
    now, known = time.monotonic(), memory.get(name)
    if known is not None and known[0] > now:
        return known[1]
    found = _look(tab, search, total)
    if len(memory) >= KEPT:
        memory.clear()
    memory[name] = (time.monotonic() + AGAIN * (time.monotonic() - now), found)
    return found


def _look(tab: JobTab, search: Search | None, total: int) -> Newest:
    walked, order = walk_of(tab, search)
    matches = compile_match(normalise(search.filter if search else {}))
    fields = {**READ, **dict.fromkeys(search.fields if search else (), 1)}
    number, ids = 0, list[Any]()
    called = "newest" if order[0][1] < 0 else "first"
    until = time.monotonic() + SECONDS
    for stored in Job.collection().find(walked, fields, sort=order, limit=LOOKED_AT + 1):
        if number == LOOKED_AT or len(ids) == FOUND or time.monotonic() > until:
            return Newest(ids, number, is_all=False, called=called)
        number += 1
        if matches(stored):
            ids.append(stored["_id"])
    return Newest(ids, number, is_all=by_id(search) is not None or number >= total, called=called)


def walk_of(tab: JobTab, search: Search | None = None) -> tuple[Filter, list[tuple[str, int]]]:
    """Return which jobs of a list are gone through, and in the order of which index."""
    ids = by_id(search)
    if ids is not None:
        return {"_id": ids}, [("_id", -1)]
    order = Asked(tab.listing).order
    return tab.query().where(tab.indexed or {}).filter(), as_sort(order)


def by_id(search: Search | None) -> Any:
    """Return the condition on the id that a search demands; None if it demands none."""
    if search is None:
        return None
    clauses = [search.filter, *search.filter.get("$and", ())]
    return next((clause["_id"] for clause in clauses if "_id" in clause), None)


def as_sort(order: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return an order as a store takes it."""
    return [(name.lstrip("-"), -1 if name[0] == "-" else 1) for name in order]
