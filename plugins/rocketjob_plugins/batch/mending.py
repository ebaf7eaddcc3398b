"""Mend the records of a slice that has failed: what a person sees is what a person changes.

    found = mending.find(job, slice_id)
    mending.replace_record(job, found.id, 4, "carol,39,TX", found.digest)
    mending.retry(job, found.id, mending.find(job, found.id).digest)

A slice is named by its id, the number of its first record, and each change says by a digest which
records were seen. It is one guarded write: refused if they are others now, if a worker has the
slice, or if it is gone. Encrypted records are encrypted again. Records are found by their index,
never by what is in them, for several may be equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from rocketjob.base import acts
from rocketjob.base.errors import NotFound, StateConflict
from rocketjob.model import deeds
from rocketjob.model.record import record_of
from rocketjob.store import Filter, Stored, Unit, Write, atomically, context, packing
from rocketjob_plugins.batch.going_on import let_go_on
from rocketjob_plugins.batch.slice import RETRIED, REVISION, Slice
from rocketjob_plugins.batch.slices import ORDER, InputSlices

T = TypeVar("T")
NUMBERS = ("size", "failure_count", "interruptions", "processing_record_number", "claim_number")
UNKNOWN = "unknown"  # stands for slices whose exception has no class


class SliceChanged(StateConflict):
    """The slice is not as it was seen; nothing was changed.

    Attributes:
        now: as it is; None if it is gone.
    """

    def __init__(self, message: str, now: FailedSlice | None = None) -> None:
        super().__init__(message)
        self.now = now


@attrs.frozen(eq=False)
class FailedSlice:
    """A slice as it is stored, with what its records are recognised by.

    Attributes:
        slice: with its state, its exception and its records.
        digest: of the records as they are stored, so that it tells nothing of encrypted ones.
        stored: its document.
    """

    slice: Slice
    digest: str
    stored: Stored = attrs.field(repr=False)

    @property
    def id(self) -> int:
        return self.slice.id

    @property
    def is_failed(self) -> bool:
        return self.slice.state == "failed"

    @property
    def size(self) -> int:
        return self.slice.size

    @property
    def next_index(self) -> int:
        """The index of the record that failed, at which a retry goes on: those before are done."""
        return max(0, (self.slice.processing_record_number or 1) - 1)

    def number_of(self, index: int) -> int:
        """Return the number of a record in the whole upload."""
        return self.id + index

    def record(self, index: int) -> Any:
        """Return a record.

        Raises:
            NotFound: there are not so many.
        """
        if not 0 <= index < len(self.slice):
            raise NotFound(f"{self.slice!r} has {len(self.slice)} records, none at {index}")
        return self.slice[index]


def failed_with(class_name: str | None = None) -> Filter:
    """Return the filter of failed slices, all or those with an exception of a class."""
    if class_name is None:
        return {"state": "failed"}
    named: Any = {"$in": [None, UNKNOWN]} if class_name == UNKNOWN else class_name
    return {"state": "failed", "exception.class_name": named}


def ids_of_failed(job: Any, class_name: str | None, limit: int) -> list[int]:
    """Return the ids of failed slices in the order of the file, without reading their records."""
    found = job.input.collection.find(failed_with(class_name), {"_id": 1}, sort=ORDER, limit=limit)
    return [stored["_id"] for stored in found]


def find(job: Any, id: int) -> FailedSlice:
    """Return a slice of the main input of a batch job.

    Raises:
        NotFound: there is none; it was processed or dropped.
        ValueError: something else has written what no slice has.
    """
    found = _read(job.input, id)
    if found is None:
        raise NotFound(f"there is no slice {id} any more: it was processed or dropped")
    return found


def replace_record(job: Any, id: int, index: int, record: Any, digest: str) -> FailedSlice:
    """Put another record in the place of one; return the slice as it is then.

    Args:
        index: of the record in the slice, from 0.
        digest: of what was seen, see `FailedSlice`.

    Raises:
        SliceChanged: it is not as it was seen, or a worker has it, or it is gone.
        NotFound: there are not so many records.
        ValueError, RocketJobError: the record cannot be stored.
    """

    def change(seen: FailedSlice, records: list[Any]) -> dict[str, Any]:
        records[index] = record
        return {}

    return _changed(job, id, index, digest, change, "save_record")


def delete_record(job: Any, id: int, index: int, digest: str) -> FailedSlice:
    """Remove one record; those behind it move up. See `replace_record`."""

    def change(seen: FailedSlice, records: list[Any]) -> dict[str, Any]:
        del records[index]
        if index < seen.next_index:
            return {"processing_record_number": seen.next_index}
        return {}

    return _changed(job, id, index, digest, change, "delete_record")


def may_retry(job: Any) -> bool:
    """Return whether slices alone can be retried: they are taken then, at the latest on resume."""
    return job.state in ("running", "paused", "failed")


def retry(job: Any, id: int, digest: str) -> None:
    """Queue a failed slice again, and no other; it goes on at the record that failed.

    A job that has failed runs again, and its other slices stay failed.

    Raises:
        SliceChanged: as for `replace_record`.
        StateConflict: the job is in a state in which nobody would take it.
    """

    def step(session: Any) -> None:
        _write(job, _seen(job, id, digest), RETRIED, "retry_slice", {"slice": id})
        _go_on(job)

    _retried(job, step)


def retry_failed_with(job: Any, class_name: str) -> int:
    """Queue the slices again that failed with an exception of one class; return how many.

    A job that has failed runs again; slices that failed with another one stay failed. If this was
    cut short, do it again.

    Raises:
        StateConflict: the job is in a state in which nobody would take them.
    """
    slices, which = job.input, failed_with(class_name)

    def step(session: Any) -> int:
        count = slices.collection.count_documents(which)
        if not count and not (job.is_failed and slices.count("queued")):
            return 0
        after = {"exception": class_name, "slices": count}
        deeds.record("retry_slices", "job", id=job.id, name=job.type_name(), after=after)
        done: int = slices.collection.update_many(which, RETRIED).matched_count
        _go_on(job)
        return done

    return _retried(job, step)


def _go_on(job: Any) -> None:
    """Let the job go on, which is a part of what has been recorded already."""
    act = acts.present()
    record_of(job).by = act.by if act is not None else None
    with acts.part_of_it():
        let_go_on(job)


def _retried(job: Any, step: Callable[[Any], T]) -> T:
    """Take a step that ends with the job going on: all of it, if it is in one store."""
    if not may_retry(job):
        raise StateConflict(f"the job is {job.state}: its slices cannot be retried")
    store = job.input.store
    return atomically(store, step) if store is context.current().store else step(None)


# --- one guarded write -------------------------------------------------------------------------


def _changed(
    job: Any,
    id: int,
    index: int,
    digest: str,
    change: Callable[[FailedSlice, list[Any]], dict[str, Any]],
    deed: str,
) -> FailedSlice:
    seen = _seen(job, id, digest)
    seen.record(index)
    changed = Slice.load(seen.stored, job.input)
    records = list(changed.records)
    also = change(seen, records)
    changed.records = records
    packed = changed._pack(job.input)
    values = {"records": packed, "size": len(records), **also}
    update = {"$set": values, "$inc": {REVISION: 1}}
    _write(job, seen, update, deed, {"slice": id, "record": seen.number_of(index)})
    # Not read again: by now it may be in other hands, or gone, which is no reason to refuse.
    revision = seen.stored.get(REVISION, 0) + 1
    return _loaded(job.input, {**seen.stored, **values, REVISION: revision})


def _seen(job: Any, id: int, digest: str) -> FailedSlice:
    """Return a slice, if it is failed and has the records that were seen."""
    now = _read(job.input, id)
    if now is None or not now.is_failed or now.digest != digest:
        raise _no_longer(id, now)
    return now


def _write(
    job: Any, seen: FailedSlice, update: dict[str, Any], deed: str, after: dict[str, Any]
) -> None:
    """Make a change, and record it if a person makes it: which record it was, not what is in it.

    In one step, unless the slices have a store of their own: then it is recorded afterwards.
    """
    slices, stored = job.input, seen.stored
    guard = {key: stored.get(key) for key in ("_id", "state", "claim_number", REVISION)}
    told = deeds.told(deed, "job", id=job.id, name=job.type_name(), after=after)
    store = context.current().store
    beside = told if slices.store is store else ()
    unit = Unit.of(slices.name, Write(guard, update), beside)
    (done,) = slices.store.commit([unit])
    if not done.held:
        raise _no_longer(seen.id, _read(slices, seen.id))
    if told and not beside:
        store.commit([Unit.of(job.collection_name, None, told)])


def _read(slices: InputSlices, id: int) -> FailedSlice | None:
    stored = slices.collection.find_one({"_id": id})
    return None if stored is None else _loaded(slices, stored)


def _loaded(slices: InputSlices, stored: Stored) -> FailedSlice:
    for key in NUMBERS:
        if not isinstance(stored.get(key, 0), int | None):
            raise ValueError(f"{key} must be an integer, not {stored[key]!r:.60}")
    return FailedSlice(Slice.load(stored, slices), _digest(stored), stored)


def _digest(stored: Stored) -> str:
    return hashlib.sha256(packing.pack({"r": stored.get("records")})).hexdigest()[:32]


def _no_longer(id: int, now: FailedSlice | None) -> SliceChanged:
    if now is None:
        why = "is not there any more: it was processed or dropped"
    elif now.slice.state == "running":
        why = "has been retried, and a worker has it"
    elif not now.is_failed:
        why = f"is {now.slice.state}: it has been retried"
    else:
        why = "was changed by somebody else in the meantime"
    return SliceChanged(f"slice {id} {why}", now)
