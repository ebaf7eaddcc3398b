"""How metrics are stored: a document for each minute, and one for each hour that is over.

    {"_id": <the minute>, "classes": {"ReportJob": {"completed": {...}}}, "by": {<process>: 7}}

A process adds to a minute with one update, under a number that grows with each: one that was made
already, though its answer was lost, does not match, and is not made twice. An hour is the sum of
its minutes and is written as a whole, so that it can be written again. Before minutes are removed
it is written for the last time, as `final`: from then on nothing is added up but only removed, so
that whoever dies on the way leaves neither a double nor half an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import is_duplicate_key
from rocketjob.store import Store, Stored
from rocketjob_plugins.metrics import figures
from rocketjob_plugins.metrics.figures import ByClass
from rocketjob_plugins.metrics.measures import Measures

MINUTES, HOURS = "rocket_job.metrics.minutes", "rocket_job.metrics.hours"
CLASSES, BY, FINAL = "classes", "by", "final"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
GRACE = timedelta(minutes=30)  # after an hour, until it is rolled up
AT_ONCE = 50  # hours that one sweep rolls up, or removes, at most


class Counts:
    """What was counted in a minute or an hour.

    Attributes:
        classes: of the jobs, by class.
        measures: by plugins.
    """

    __slots__ = ("classes", "measures")

    def __init__(self, classes: ByClass | None = None, measures: Measures | None = None) -> None:
        self.classes = classes if classes is not None else {}
        self.measures = measures if measures is not None else Measures()

    def __bool__(self) -> bool:
        return bool(self.classes or self.measures)

    def merge(self, other: Counts, times: int = 1) -> None:
        """Add all that others have, or take it away."""
        figures.merge_all(self.classes, other.classes, times)
        self.measures.merge(other.measures, times)

    def stored(self) -> dict[str, Any]:
        """Return them as parts of a document."""
        return {CLASSES: figures.stored(self.classes), **self.measures.stored()}

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Counts:
        return cls(figures.load(document.get(CLASSES) or {}), Measures.load(document))

    def addition(self) -> dict[str, Any]:
        """Return the update that adds them to those of a document."""
        sums: dict[str, Any] = {}
        maxima: dict[str, Any] = {}

        def walk(path: str, part: Mapping[str, Any]) -> None:
            for key, value in part.items():
                if isinstance(value, dict):
                    walk(f"{path}{key}.", value)
                else:
                    (maxima if key == "max" else sums)[f"{path}{key}"] = value

        walk("", self.stored())
        return {"$inc": sums, "$max": maxima} if maxima else {"$inc": sums}


def add(store: Store, minute: datetime, update: dict[str, Any], writer: str, number: int) -> None:
    """Add to a minute, once, however often it is tried.

    Args:
        writer: the process.
        number: of its writes, which grows.

    Raises:
        Exception: it may have been written.
    """
    minutes, key = store.collection(MINUTES), f"{BY}.{writer}"
    filter = {"_id": minute, key: {"$not": {"$gte": number}}}
    noted = {**update, "$set": {key: number}}
    try:
        minutes.update_one(filter, noted, upsert=True)
    except Exception as error:
        if not is_duplicate_key(error):
            raise
        # Another process has just made the document, or this was written before: as above.
        minutes.update_one(filter, noted)


def between(store: Store, name: str, since: datetime, until: datetime) -> Iterator[Stored]:
    """Yield the documents of a time, the earliest first."""
    window = {"_id": {"$gte": since, "$lt": until}}
    return store.collection(name).find(window, {BY: 0}, sort=[("_id", 1)])


def hour_of(at: datetime) -> datetime:
    """Return the begin of an hour."""
    return at.replace(minute=0, second=0, microsecond=0)


# --- what the sweep does -----------------------------------------------------------------------


def roll_up(store: Store) -> int:
    """Write the hours that are over; return how many."""
    edge = hour_of(clock.now() - GRACE)
    hours, minutes = store.collection(HOURS), store.collection(MINUTES)
    last = hours.find_one({"_id": {"$lt": edge}}, {"_id": 1}, sort=[("_id", -1)])
    begin: dict[str, Any] = {"$lt": edge}
    for done in range(AT_ONCE):
        if last is not None:
            begin["$gte"] = last["_id"] + HOUR
        first = minutes.find_one({"_id": begin}, {"_id": 1}, sort=[("_id", 1)])
        if first is None:
            return done
        last = {"_id": hour_of(first["_id"])}
        _write_hour(store, last["_id"])
    return AT_ONCE


def remove_minutes(store: Store, before: datetime) -> int:
    """Remove the minutes of hours that are over before a time; return of how many hours."""
    minutes, edge = store.collection(MINUTES), hour_of(before)
    for done in range(AT_ONCE):
        first = minutes.find_one({"_id": {"$lt": edge}}, {"_id": 1}, sort=[("_id", 1)])
        if first is None:
            return done
        hour = hour_of(first["_id"])
        _write_hour(store, hour, final=True)
        minutes.delete_many({"_id": {"$gte": hour, "$lt": hour + HOUR}})
    return AT_ONCE


def remove_hours(store: Store, before: datetime) -> int:
    """Remove the hours before a time; return how many."""
    hours, old = store.collection(HOURS), {"_id": {"$lt": before}}
    if hours.find_one(old, {"_id": 1}) is None:
        return 0  # so that nothing is written by a sweep that finds nothing
    return hours.delete_many(old).deleted_count


def _write_hour(store: Store, hour: datetime, final: bool = False) -> None:
    """Write the sum of an hour's minutes, unless some of them may be removed already."""
    counts = Counts()
    for minute in between(store, MINUTES, hour, hour + HOUR):
        counts.merge(Counts.load(minute))
    written = {**counts.stored(), **({FINAL: True} if final else {})}
    try:
        store.collection(HOURS).update_one(
            {"_id": hour, FINAL: {"$ne": True}}, {"$set": written}, upsert=True
        )
    except Exception as error:
        if not is_duplicate_key(error):  # it is final
            raise
