"""A slice: some records of a batch job, with their own state, claim and exception."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence
from datetime import datetime
from typing import Any, Protocol, overload

from rocketjob.base import clock
from rocketjob.base.errors import DocumentTooLarge, NotFound, StateConflict
from rocketjob.jobs import claims
from rocketjob.jobs.exception import JobException
from rocketjob.model.types import codec_for
from rocketjob.store import MAX_DOCUMENT_BYTES, Collection, Stored, packing
from rocketjob_plugins.batch.serializers import Serializer

EXCEPTION = codec_for(JobException)
MAX_PACKED = MAX_DOCUMENT_BYTES - 64 * 1024  # there is an exception beside the records, and more
REVISION = "revision"  # stored: how often its records were changed by hand
STATES = ("queued", "running", "completed", "failed")
RELEASED = {**claims.UNSTARTED, "claimed_in": ""}  # what goes when no worker has it any more
RETRIED: dict[str, Any] = {
    "$set": {"state": "queued", "interruptions": 0},
    "$unset": {**RELEASED, claims.QUARANTINED: "", "failed_at": ""},
}


class Home(Protocol):
    """Where a slice is stored, and how: see `rocketjob_plugins.batch.slices`."""

    @property
    def collection(self) -> Collection: ...

    @property
    def serializer(self) -> Serializer: ...


class Slice(MutableSequence[Any]):
    """A list of records, and what is known of their processing.

    Attributes:
        id: the number of the first record in the whole upload; slices are in this order.
        state: queued, running, completed or failed.
        failure_count: how often it failed.
        interruptions: how often its worker process died.
        quarantined: the claim under which it may have ended its whole server.
        processing_record_number: the record in work, or the one that failed, from 1 in the slice.
        worker_name, claimed_by, claim_number: who works on it.
        exception: why it failed.
        started_at: when it was last claimed.
    """

    def __init__(
        self,
        records: Iterable[Any] = (),
        first_record_number: int = 1,
        slices: Home | None = None,
    ) -> None:
        self._records: list[Any] | None = list(records)
        self._packed: Any = None
        self._size: int | None = None
        self._slices = slices
        self.id = first_record_number
        self.state = "queued"
        self.failure_count = 0
        self.interruptions = 0
        self.quarantined: int | None = None
        self.processing_record_number: int | None = None
        self.worker_name: str | None = None
        self.claimed_by: str | None = None
        self.claim_number = 0
        self.exception: JobException | None = None
        self.started_at: datetime | None = None

    # --- records -----------------------------------------------------------------------------

    @property
    def records(self) -> list[Any]:
        """The records; they are unpacked when first needed."""
        if self._records is None:
            assert self._slices is not None
            self._records = self._slices.serializer.load(self._packed)
        return self._records

    @records.setter
    def records(self, records: list[Any]) -> None:
        if not isinstance(records, list):
            raise TypeError(f"a slice's records must be a list, not {type(records).__name__}")
        self._records = records

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.records[index]

    def __setitem__(self, index: Any, record: Any) -> None:
        self.records[index] = record

    def __delitem__(self, index: int | slice) -> None:
        del self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records)

    def __eq__(self, other: object) -> bool:
        return self.records == (other.records if isinstance(other, Slice) else other)

    __hash__ = None  # type: ignore[assignment]

    def insert(self, index: int, record: Any) -> None:
        self.records.insert(index, record)

    def __repr__(self) -> str:
        return f"<Slice {self.id} {self.state}>"

    @property
    def size(self) -> int:
        """How many records there are; they need not be unpacked for that."""
        unread = self._records is None and self._size is not None
        return self._size if unread else len(self.records)  # type: ignore[return-value]

    def lines(self) -> str | None:
        """Return the records joined by line breaks, where they are stored so; else None."""
        unpack = self._slices.serializer.lines if self._slices and self._records is None else None
        return None if unpack is None else unpack(self._packed)

    # --- numbers -----------------------------------------------------------------------------

    @property
    def first_record_number(self) -> int:
        """The number of the first record in the whole upload, from 1."""
        return self.id

    @property
    def current_record_number(self) -> int:
        """The number in the whole upload of the record in work."""
        return self.id + (self.processing_record_number or 1) - 1

    @property
    def failed_record(self) -> Any:
        """The record that failed; None if none did."""
        number = self.processing_record_number
        if self.exception is None or not number or number > len(self.records):
            return None
        return self.records[number - 1]

    # --- documents ---------------------------------------------------------------------------

    @property
    def claim(self) -> claims.Claim:
        """Under which claim it is, or was when it was read."""
        return claims.Claim(self.claimed_by or "", self.claim_number)

    @classmethod
    def load(cls, stored: Stored, slices: Home) -> Slice:
        slice_ = cls.__new__(cls)
        slice_._records, slice_._packed, slice_._slices = None, stored.get("records"), slices
        slice_.id, slice_._size = stored["_id"], stored.get("size")
        slice_.state = stored.get("state", "queued")
        slice_.failure_count = stored.get("failure_count", 0)
        slice_.interruptions = stored.get("interruptions", 0)
        slice_.quarantined = stored.get(claims.QUARANTINED)
        slice_.processing_record_number = stored.get("processing_record_number")
        slice_.worker_name = stored.get("worker_name")
        slice_.claimed_by = stored.get("claimed_by")
        slice_.claim_number = stored.get("claim_number", 0)
        exception = stored.get("exception")
        slice_.exception = EXCEPTION.decode(exception) if exception and EXCEPTION.decode else None
        slice_.started_at = stored.get("started_at")
        return slice_

    def to_document(self) -> Stored:
        assert self._slices is not None
        packed = self._pack(self._slices)
        stored: Stored = {"_id": self.id, "state": self.state, "records": packed}
        stored["size"] = len(self.records)
        stored["interruptions"] = self.interruptions
        if self.quarantined is not None:
            stored[claims.QUARANTINED] = self.quarantined
        if self.failure_count:
            stored["failure_count"] = self.failure_count
        if self.processing_record_number is not None:
            stored["processing_record_number"] = self.processing_record_number
        return stored

    def _pack(self, slices: Home) -> Any:
        """Return the records as they are stored; say here, in its words, if that is too much."""
        packed = slices.serializer.dump(self.records)
        if isinstance(packed, bytes | str) and len(packed) > MAX_PACKED:
            raise _too_large(self.id, len(self.records), len(packed))
        return packed

    # --- what people do ----------------------------------------------------------------------

    def save(self) -> Slice:
        """Store the records, for example after one that failed was corrected.

        Raises:
            ValueError: there are more records than before.
            StateConflict: a worker has the slice.
            NotFound: it is not stored any more.
        """
        count = len(self.records)
        if self._size is not None and count > self._size:
            raise ValueError(
                f"{self!r} has {self._size} records; more would take the numbers of those behind it"
            )
        packed = self._pack(self._collection())
        self._write({"$set": {"records": packed, "size": count}, "$inc": {REVISION: 1}})
        return self

    def retry(self) -> Slice:
        """Queue a failed slice again; it goes on at the record that failed.

        Raises:
            StateConflict: the slice has not failed, or a worker has it.
            NotFound: it is not stored any more.
        """
        if self.state != "failed":
            raise StateConflict(f"{self!r} has not failed: there is nothing to retry")
        self._write(RETRIED)
        self.state, self.interruptions, self.quarantined = "queued", 0, None
        return self

    def _write(self, update: dict[str, Any]) -> None:
        collection = self._collection().collection
        condition = {"_id": self.id, "state": {"$in": ["queued", "failed"]}}
        if collection.update_one(condition, update).matched_count:
            return
        stored = collection.find_one({"_id": self.id}, {"state": 1})
        if stored is None:
            raise NotFound(f"{self!r} is not stored any more: it was processed or dropped")
        raise StateConflict(f"{self!r} is {stored['state']} in the store: a worker has it")

    def _collection(self) -> Home:
        if self._slices is None:
            raise NotFound("this slice belongs to no job yet")
        return self._slices

    @property
    def seconds(self) -> float | None:
        """How long the present worker has had it."""
        return clock.now().timestamp() - self.started_at.timestamp() if self.started_at else None


def explained(error: Exception, documents: Iterable[Stored]) -> Exception:
    """Return why slices were refused, if one is too large; each store has its own words for that.

    Only now: to measure records that are not compressed takes as long as to store them.
    """
    sizes: list[tuple[int, int, int]] = []
    for document in documents:
        try:
            size = len(packing.pack(document))
        except Exception:  # not too large, but nothing that a document holds: the store says so
            continue
        if size > MAX_DOCUMENT_BYTES:
            return _too_large(document["_id"], document["size"], size)
        sizes.append((document["_id"], document["size"], size))
    # A store without transactions notes all of a unit in one document before it stores it.
    if type(error).__name__ == DocumentTooLarge.__name__ and len(sizes) > 1:
        first, (last, count, _) = sizes[0][0], sizes[-1]
        return _too_large(first, last + count - first, sum(size for *_, size in sizes))
    return error


def _too_large(first: int, count: int, size: int) -> DocumentTooLarge:
    which, cure = f"records {first} to {first + count - 1} have", "use a smaller slice_size"
    if count == 1:
        which, cure = f"record {first} has", "keep it in a file, and its name in the record"
    return DocumentTooLarge(f"{which} {size:,} bytes, and a slice takes {MAX_PACKED:,}: {cure}")
