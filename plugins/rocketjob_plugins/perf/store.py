"""The calls of the store that jobs are made of, in a collection like that of jobs.

The processor time is of this process: it is all there is for the embedded store, and the client's
part of a database server's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from bson import ObjectId

from rocketjob import application
from rocketjob.base import clock
from rocketjob.jobs import claims
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import ORDER
from rocketjob.queue.eligible import Eligible
from rocketjob.store import Insert, Store, Stored, Unit, Write

from .jobs import PerfSimpleJob
from .progress import Progress
from .report import Kind
from .scratch import Scratch

BULK = 1000
GROUP = 50  # what a busy process claims and completes at once
LEAST = 10
BY = "perf.0"
STEPS = (
    "insert, one by one",
    "insert, 1,000 at once",
    "claim, one by one",
    "claim, 50 at once",
    "progress, 50 at once",
    "complete, one by one",
    "complete, 50 at once",
    "complete and insert as a unit, one by one",
    "complete and insert as a unit, 50 at once",
)
CPU = ", processor time"


@attrs.frozen
class StoreCalls:
    """The workload: on so many documents."""

    count: int
    name: str = "store"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"documents": self.count}

    def kinds(self) -> Sequence[Kind]:
        return (
            *(Kind(name, "documents/s", more=True) for name in STEPS),
            *(Kind(name + CPU, "us/document") for name in STEPS),
        )

    def run(self, made: Scratch, progress: Progress) -> Mapping[str, float | None]:
        calls = Calls(made.store, made.collection)
        calls.declare()
        figures: dict[str, float | None] = {}
        for name, number, work in steps(calls, max(LEAST, self.count)):
            progress.say(name)
            used, began = time.process_time(), time.perf_counter()
            work()
            seconds, cpu = time.perf_counter() - began, time.process_time() - used
            figures[name] = number / max(seconds, 1e-9)
            figures[name + CPU] = 1e6 * cpu / number
        return figures


def steps(calls: Calls, count: int) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Yield name, number of documents and work; the steps follow each other on one queue."""
    few, many = max(1, count // 10), max(1, count // 2)
    groups = max(1, count // 5)
    names = iter(STEPS)
    yield next(names), few, lambda: calls.insert(few, 1)
    yield next(names), count - few, lambda: calls.insert(count - few, BULK)
    yield next(names), few, lambda: calls.claim(few, 1)
    yield next(names), many, lambda: calls.claim(many, GROUP)
    yield next(names), many, lambda: calls.progress(many)
    yield next(names), few, lambda: calls.complete(few, 1)
    yield next(names), many, lambda: calls.complete(many, GROUP)
    calls.claim(few + groups, GROUP)
    yield next(names), few, lambda: calls.commit(few, 1)
    yield next(names), groups, lambda: calls.commit(groups, GROUP)


class Calls:
    """Makes the calls as servers do, with their filters and updates, and sees that they hold."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.documents = store.collection(name)
        self.claimed: list[Stored] = []
        self.eligible = Eligible(application.current().config, quarantined=False)

    def declare(self) -> None:
        """Make the indexes that jobs have."""
        for spec in application.current().indexes(self.store)[COLLECTION]:
            options = dict(spec)
            self.documents.create_index(options.pop("keys"), **options)

    def insert(self, count: int, size: int) -> None:
        for made in _groups(count, size):
            documents = [PerfSimpleJob(perf_run=self.name).to_document() for _ in range(made)]
            if size == 1:
                self.documents.insert_one(documents[0])
            else:
                self.documents.insert_many(documents)

    def claim(self, count: int, size: int) -> None:
        for limit in _groups(count, size):
            now = clock.now()
            claimed = self.store.claim_many(
                self.name,
                self.eligible.filter(now),
                claims.claim_update(BY, BY, now, self.eligible.cleared),
                sort=ORDER,
                limit=limit,
            )
            _see(len(claimed) == limit)
            self.claimed += claimed

    def progress(self, count: int) -> None:
        update = {"$set": {"percent_complete": 50}}
        for start in range(0, count, GROUP):
            group = self.claimed[start : min(start + GROUP, count)]
            writes = [Write(guard(stored), update) for stored in group]
            _see(all(self.store.write_many(self.name, writes)))

    def complete(self, count: int, size: int) -> None:
        for number in _groups(count, size):
            writes = [Write(guard(stored), None) for stored in self._taken(number)]
            _see(all(self.store.write_many(self.name, writes)))

    def commit(self, count: int, size: int) -> None:
        """Complete jobs, each together with the insert of another one, as a schedule does."""
        for number in _groups(count, size):
            units = []
            for stored in self._taken(number):
                following = {**stored, "_id": ObjectId(), "state": "paused"}
                del following["claimed_by"]
                write = Write(guard(stored), None)
                insert = Insert(self.name, following)
                units.append(Unit(collection=self.name, write=write, inserts=[insert]))
            _see(all(done.held for done in self.store.commit(units)))

    def _taken(self, number: int) -> list[Stored]:
        taken, self.claimed = self.claimed[:number], self.claimed[number:]
        return taken


def guard(stored: Stored) -> dict[str, Any]:
    """Return the filter that finds a job only while its claim holds."""
    return {"_id": stored["_id"], "state": "running", **claims.claim_in(stored).guard()}


def _groups(count: int, size: int) -> Iterator[int]:
    for start in range(0, count, size):
        yield min(size, count - start)


def _see(is_right: bool) -> None:
    """Refuse to time what did not happen."""
    if not is_right:
        raise AssertionError("the store did not do what was asked: nothing is measured")
