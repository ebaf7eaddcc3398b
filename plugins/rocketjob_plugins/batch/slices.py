"""The slices of one category of one job: their own collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any

from bson import ObjectId

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.base.encryption import EncryptionContext
from rocketjob.jobs import claims
from rocketjob.store import Collection, Filter, Store
from rocketjob_plugins.batch.category import InputCategory, OutputCategory
from rocketjob_plugins.batch.serializers import Serializer, serializer
from rocketjob_plugins.batch.settings import slices_store
from rocketjob_plugins.batch.slice import RELEASED, RETRIED, Slice

ORDER = [("_id", 1)]
EVERY: Filter = MappingProxyType({})
LOCKS = "rocket_job.slice_locks"
REJECTS = ("outputs", "rejects")  # kind and category


class Slices:
    """Slices in the order of their records.

    Args:
        job_id: whose they are.
        category: how they are stored.
        class_name: that of the job, where they may be encrypted.
        kind: `inputs` or `outputs`.
    """

    kind = "slices"

    def __init__(
        self,
        job_id: ObjectId,
        category: InputCategory | OutputCategory,
        class_name: str | None = None,
    ) -> None:
        self.job_id, self.category, self._class_name = job_id, category, class_name
        suffix = "" if category.name == "main" else f".{category.name}"
        self.name = f"rocket_job.{self.kind}.{job_id}{suffix}"

    @property
    def store(self) -> Store:
        return slices_store()

    @property
    def collection(self) -> Collection:
        return self.store.collection(self.name)

    @property
    def serializer(self) -> Serializer:
        chosen = serializer(self.category.serializer)
        return chosen.within(self.context) if chosen.encrypts else chosen

    @property
    def context(self) -> EncryptionContext:
        """Whose the slices are, for what encrypts them."""
        field = f"{self.kind}.{self.category.name}"
        return EncryptionContext(self._class_name, field, self.job_id)

    # --- reading -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Slice]:
        return self.where({})

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    def where(self, filter: Filter) -> Iterator[Slice]:
        """Return the slices that match a Mongo filter, in order."""
        for stored in self.collection.find(filter, sort=ORDER):
            yield Slice.load(stored, self)

    def count(self, state: str | None = None) -> int:
        """Count the slices, all or those in a state."""
        return self.collection.count_documents({} if state is None else {"state": state})

    def counts_by_state(self) -> dict[str, int]:
        return self.store.count_by(self.name, "state")

    def is_there(self) -> bool:
        """Return whether the store has the collection, which stays when its last slice is gone."""
        return self.name in self.store.collection_names()

    def first(self) -> Slice | None:
        return self._one(ORDER)

    def last(self) -> Slice | None:
        return self._one([("_id", -1)])

    def _one(self, sort: list[tuple[str, int]]) -> Slice | None:
        stored = self.collection.find_one({}, sort=sort)
        return None if stored is None else Slice.load(stored, self)

    def find(self, id: int) -> Slice | None:
        """Return the slice that begins with this record number."""
        stored = self.collection.find_one({"_id": id})
        return None if stored is None else Slice.load(stored, self)

    def queued(self) -> list[Slice]:
        return list(self.where({"state": "queued"}))

    def running(self) -> list[Slice]:
        return list(self.where({"state": "running"}))

    def failed(self) -> list[Slice]:
        return list(self.where({"state": "failed"}))

    # --- writing -----------------------------------------------------------------------------

    def insert_many(self, slices: Iterable[Slice]) -> None:
        """Store new slices: all of them or none."""
        documents = []
        for slice_ in slices:
            slice_._slices = self
            documents.append(slice_.to_document())
        if documents:
            self.collection.insert_many(documents)

    def insert(self, records: Slice | list[Any], first_record_number: int | None = None) -> Slice:
        """Store one slice; without a number it follows the last one."""
        if not isinstance(records, Slice):
            number = first_record_number or self.next_record_number()
            records = Slice(records, number)
        self.insert_many([records])
        return records

    def next_record_number(self) -> int:
        """Return the number that the next record to be added has."""
        stored = self.collection.find_one({}, {"size": 1}, sort=[("_id", -1)])
        return 1 if stored is None else stored["_id"] + stored.get("size", 1)

    def create_indexes(self) -> None:
        self.collection.create_index([("state", 1), ("_id", 1)], name="state_1__id_1")

    def delete_all(self) -> int:
        return self.collection.delete_many({}).deleted_count

    def drop(self) -> None:
        self.collection.drop()


class OutputSlices(Slices):
    """What `perform` returned."""

    kind = "outputs"


def reject_slices(job_id: ObjectId, class_name: str | None = None) -> OutputSlices:
    """Return the collection of what a job has set aside."""
    return OutputSlices(job_id, OutputCategory(name=REJECTS[1], serializer="none"), class_name)


_COLLECTION = re.compile(r"rocket_job\.((?:inputs|outputs))\.([0-9a-f]{24})(?:\.(.+))?")


def context_of(collection: str) -> EncryptionContext | None:
    """Return whose the documents of a collection are; None if they are not slices."""
    found = _COLLECTION.fullmatch(collection)
    if found is None:
        return None
    job_id = ObjectId(found[2])
    job = Job.collection().find_one({"_id": job_id}, {"_type": 1}) or {}
    return EncryptionContext(job.get("_type"), f"{found[1]}.{found[3] or 'main'}", job_id)


def jobs_with_rejects() -> Iterator[ObjectId]:
    """Yield the ids of the jobs that have a collection of rejects, the newest first."""
    found = map(_COLLECTION.fullmatch, slices_store().collection_names())
    ids = [ObjectId(each[2]) for each in found if each and each.groups()[::2] == REJECTS]
    yield from sorted(ids, reverse=True)


class InputSlices(Slices):
    """What is still to be processed; a slice is removed when its output is stored."""

    kind = "inputs"

    def claim(
        self,
        claimed_by: str,
        worker_name: str,
        limit: int,
        quarantined: bool | None = None,
        claimed_in: str = "",
        which: Filter = EVERY,
    ) -> list[Slice]:
        """Take the first queued slices, for one worker alone.

        Args:
            quarantined: only those whose worker has crashed before, or only the others.
            claimed_in: tells the workers of one process apart.
            which: only those that match.
        """
        filter = {**which, "state": "queued", **claims.quarantine_filter(quarantined)}
        update = claims.taken_over(
            claimed_by, worker_name, state="running", claimed_in=claimed_in, started_at=clock.now()
        )
        claimed = self.store.claim_many(self.name, filter, update, sort=ORDER, limit=limit)
        return [Slice.load(stored, self) for stored in claimed]

    def lock(self) -> None:
        """Let no other transaction that does the same be made at the same time."""
        locks = self.store.collection(LOCKS)
        locks.update_one({"_id": self.job_id}, {"$inc": {"claims": 1}}, upsert=True)

    def unlock(self) -> None:
        """Remove what `lock` has left."""
        self.store.collection(LOCKS).delete_one({"_id": self.job_id})

    def requeue_failed(self) -> int:
        """Queue all failed slices again; return how many."""
        return self.collection.update_many({"state": "failed"}, RETRIED).matched_count

    def requeue_unknown(self, claimed_by: str, claimed_in: str, known: Iterable[int]) -> int:
        """Queue what a worker holds and knows nothing of: the answer to its claim was lost."""
        guard = {"state": "running", "claimed_by": claimed_by, "claimed_in": claimed_in}
        return self._requeue({**guard, "_id": {"$nin": list(known)}})

    def requeue_running(self, worker_name: str | None = None) -> int:
        """Queue the slices of a worker, of a server's workers, or of all; return how many."""
        if worker_name is None:
            return self._requeue({"state": "running"})
        names = {"$gte": worker_name + ":", "$lt": worker_name + ";"}  # ";" follows ":" in ASCII
        whose = {"$or": [{"worker_name": worker_name}, {"worker_name": names}]}
        return self._requeue({"state": "running", **whose})

    def _requeue(self, filter: Filter) -> int:
        update = {"$set": {"state": "queued"}, "$unset": RELEASED}
        return self.collection.update_many(filter, update).matched_count

    def each_failed_record(self) -> Iterator[tuple[Any, Slice]]:
        """Yield each record that failed, with its slice."""
        for slice_ in self.where({"state": "failed"}):
            if slice_.failed_record is not None:
                yield slice_.failed_record, slice_

    def group_exceptions(self) -> list[dict[str, Any]]:
        """Return for each class of exceptions its `class_name`, `count` and `messages`."""
        groups: dict[str, dict[str, Any]] = {}
        for stored in self.collection.find({"state": "failed"}, {"exception": 1}):
            exception = stored.get("exception") or {}
            name = exception.get("class_name", "?")
            group = groups.setdefault(name, {"class_name": name, "count": 0, "messages": []})
            group["count"] += 1
            if exception.get("message") not in group["messages"]:
                group["messages"].append(exception.get("message"))
        return list(groups.values())

    def owners(self) -> list[str]:
        """Return the ids of the processes that hold a slice."""
        owners = self.collection.distinct("claimed_by", {"state": "running"})
        return [str(owner) for owner in owners if owner]


def claim_guard(slice_: Slice) -> Filter:
    """Return the filter under which a slice's worker may write."""
    return claims.running_under(slice_.id, slice_.claim)
