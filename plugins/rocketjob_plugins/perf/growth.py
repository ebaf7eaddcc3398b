"""What a claim costs as the queue grows, and with what is not for the claimer in front of it.

Each row has jobs of its own on an empty queue. Claims are of 50, as a busy worker process makes
them, and what they got is put back, so that the queue stays as long as it was. Shown are the
processor time of this process for each job, and on the embedded store how many steps SQLite's
machine made for a claim: those do not depend on the machine, nor on what else it does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs
from bson import ObjectId

from rocketjob import application
from rocketjob.base import clock
from rocketjob.cli import Failure
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import Queue
from rocketjob.store import Stored
from rocketjob_plugins.store_sqlite.counting import counted_steps

from .growth_jobs import PerfHeldJob, PerfKeyedJob, PerfPlainJob
from .progress import Progress
from .report import Kind
from .scratch import Scratch

CLAIM = 50
PATIENCE = 0.1  # seconds, as worker processes have it
INSERTED = 5_000
EVERY = 100  # steps between two counts
PATIENT_SECONDS = 60
UNKNOWN = "PerfNobodyKnowsJob"
CLASSES = (PerfPlainJob, PerfHeldJob, PerfKeyedJob)
PLAIN = 1_000  # jobs that can be claimed, behind whatever is in front
CPU, STEPS = "claim of 50, processor time", "claim of 50, steps of SQLite"


@attrs.frozen
class Growth:
    """The workload.

    Attributes:
        up_to: the longest queue, and how many completed jobs are kept.
        held, unknown: jobs in front that wait for a limit, and of classes not known here.
        keys: different keys of a limit, each full.
    """

    up_to: int = 100_000
    held: int = 10_000
    unknown: int = 50_000
    keys: int = 1_000
    claims: int = 20
    name: str = "growth"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"longest queue": self.up_to, "claims of each row": self.claims}

    def kinds(self) -> Sequence[Kind]:
        rows = [name for name, _ in self._rows()]
        return (
            *(Kind(f"{row}: {CPU}", "us/job") for row in rows),
            *(Kind(f"{row}: {STEPS}", "steps") for row in rows),
        )

    def run(self, made: Scratch, progress: Progress) -> Mapping[str, float | None]:
        refuse_used(made)
        figures: dict[str, float | None] = {}
        for name, fill in self._rows():
            filler = Filler(made, progress, name)
            fill(filler)
            progress.say(f"{name}: claiming")
            figures |= measured(made, filler, name, self.claims)
            filler.clear()
        return figures

    def _rows(self) -> Iterator[tuple[str, Callable[[Filler], None]]]:
        """Yield each row's name, and what puts its jobs into the queue."""
        for depth in self.depths():
            yield f"{depth:,} queued", lambda filler, depth=depth: filler.put(depth)  # type: ignore[misc]
        yield f"{self.held:,} held back in front", lambda filler: filler.held(self.held)
        yield f"{self.unknown:,} unknown in front", lambda filler: filler.unknown(self.unknown)
        yield f"{self.up_to:,} completed kept", lambda filler: filler.completed(self.up_to)
        for keys in sorted({min(10, self.keys), self.keys}):
            yield (
                f"{self.held:,} held back by {keys:,} keys",
                lambda filler, keys=keys: filler.keyed(self.held, keys),  # type: ignore[misc]
            )

    def depths(self) -> list[int]:
        """Return the lengths of the queue, each ten times the one before."""
        depths = [1_000]
        while depths[-1] * 10 <= self.up_to:
            depths.append(depths[-1] * 10)
        return [depth for depth in depths if depth <= self.up_to] or [self.up_to]


def refuse_used(made: Scratch) -> None:
    """Refuse a store that has jobs: their claims would be measured, and they would be touched.

    Raises:
        Failure: it has some.
    """
    if made.store.collection(COLLECTION).find_one({}, {"_id": 1}) is not None:
        raise Failure(
            f"there are jobs in {made.store.url}: `perf growth` claims whatever is queued; "
            "name a store without any, such as another database of the same server"
        )


class Filler:
    """Puts the jobs of a row into the queue."""

    def __init__(self, made: Scratch, progress: Progress, name: str) -> None:
        self._jobs = made.store.collection(COLLECTION)
        self._run, self._progress, self._name = made.run, progress, name

    def put(
        self, count: int, cls: type[PerfPlainJob | PerfHeldJob] = PerfPlainJob, **fields: Any
    ) -> None:
        """Store jobs that differ in their ids only."""
        document = cls(perf_run=self._run).to_document()
        self._insert(({**document, "_id": ObjectId(), **fields} for _ in range(count)), count)

    def clear(self) -> None:
        """Remove all of them, by what an index knows: a million are too many to be read."""
        self._progress.say(f"{self._name}: removing")
        self._jobs.delete_many({"_type": {"$in": [cls.type_name() for cls in CLASSES] + [UNKNOWN]}})

    def replace(self, ids: Sequence[Any]) -> None:
        """Remove jobs that were claimed, and store as many."""
        self._jobs.delete_many({"_id": {"$in": list(ids)}})
        document = PerfPlainJob(perf_run=self._run).to_document()
        self._jobs.insert_many([{**document, "_id": ObjectId()} for _ in ids])

    def _insert(self, documents: Iterator[Stored], count: int) -> None:
        for start in range(0, count, INSERTED):
            self._progress.far(f"{self._name}: storing", start, count)
            number = min(INSERTED, count - start)
            self._jobs.insert_many([next(documents) for _ in range(number)])

    def held(self, count: int) -> None:
        self.put(1, PerfHeldJob, **RUNNING)
        self.put(count, PerfHeldJob, priority=10)
        self.put(PLAIN)

    def unknown(self, count: int) -> None:
        self.put(count, _type=UNKNOWN, priority=10)
        self.put(PLAIN)

    def completed(self, count: int) -> None:
        self.put(count, state="completed", completed_at=clock.now() - timedelta(hours=1))
        self.put(PLAIN)

    def keyed(self, count: int, keys: int) -> None:
        """Store jobs that wait for their key, of which one is running each."""
        document = PerfKeyedJob(perf_run=self._run).to_document()

        def jobs(number: int, **fields: Any) -> Iterator[Stored]:
            for key in range(number):
                mine = {"key": key % keys, "throttle_value": key % keys}
                yield {**document, "_id": ObjectId(), **mine, **fields}

        self._insert(jobs(keys, **RUNNING), keys)
        self._insert(jobs(count, priority=10), count)
        self.put(PLAIN)


RUNNING = {"state": "running", "claimed_by": "perf.other", "claim_number": 1}


def measured(made: Scratch, filler: Filler, name: str, claims: int) -> dict[str, float | None]:
    """Claim a few times; return the medians of what it cost.

    The first looks past what is held back are not among them: those behind go on from there, and
    look again only after a few times as long.

    Raises:
        Failure: hardly anything is claimed.
    """
    config = application.current().config
    queue = Queue(made.store, application.current().plugins, config, "perf.1", "perf:1", False)
    costs: list[float] = []
    steps: list[int] = []
    deadline = clock.monotonic() + PATIENT_SECONDS
    with counted_steps(made.store, EVERY) as count:
        while len(costs) < claims:
            if clock.monotonic() > deadline:
                raise Failure(f"{name}: hardly anything is claimed, so nothing is measured")
            began, used = count(), time.process_time()
            jobs = queue.claim(CLAIM, patience=PATIENCE)
            cpu = time.process_time() - used
            steps.append(count() - began)
            if jobs:
                costs.append(1e6 * cpu / len(jobs))
                filler.replace([job.id for job in jobs])
    known = [each for each in steps if each]
    return {
        f"{name}: {CPU}": statistics.median(costs),
        f"{name}: {STEPS}": statistics.median(known) if known else None,
    }
