"""The writer of an upload: cuts records into slices, and stores them while it fills."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rocketjob.base.errors import NotFound, RocketJobError, StateConflict
from rocketjob.store import Stored
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.io import tables
from rocketjob_plugins.batch.io.job_writes import (
    ENDED,
    MARKS,
    add_to_record_count,
    mark_and_count,
    take_back_record_count,
    write_filter,
)
from rocketjob_plugins.batch.io.undo import remove
from rocketjob_plugins.batch.serializers import refused
from rocketjob_plugins.batch.settings import within_reach
from rocketjob_plugins.batch.slice import Slice, explained
from rocketjob_plugins.batch.streams import StreamError

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

SLICES_AT_ONCE = 20  # stored in one go ...
BYTES_AT_ONCE = 4 * 1024 * 1024  # ... or about so much of them


class UploadWriter:
    """Takes records one by one; its slices are stored while it fills.

    As a context manager it ends the upload; an exception within removes what it added. Of two
    uploads to one category at a time the one that stores later ends with `StateConflict`: they
    would give the same numbers to their records.
    """

    def __init__(
        self,
        job: BatchModel,
        category: InputCategory,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.job, self.category, self.progress = job, category, progress
        self.slices = job.input_for(category)
        self._table = tables.input_table(category) if tables.parses(category) else None
        self._open()
        with within_reach():
            self.slices.create_indexes()
            self.mark, self._counted = mark_and_count(job, category)
            self.first = self._number = self._end = self._next_number()
        self._records: list[Any] = []
        self._ready: list[Stored] = []
        self._bytes = 0
        self.count = 0

    def _open(self) -> None:
        writers = self.job.open_uploads
        known = writers.get(self.category.name)
        other = known() if known is not None else None
        if other is not None:
            raise StateConflict(
                f"an upload to {self.category.name} of {self.job!r} has not ended: end it first"
            )
        writers[self.category.name] = weakref.ref(self)

    def _close(self) -> None:
        self.job.open_uploads.pop(self.category.name, None)

    def _next_number(self) -> int:
        """Return a number that no record has had, also none that is processed and gone."""
        known = [self.slices.next_record_number(), self.mark or 1]
        if self.category.name == "main" and self.mark is None:
            known.append((self.job.record_count or 0) + 1)
        return max(known)

    # --- taking records ----------------------------------------------------------------------

    def append(self, record: Any) -> None:
        """Add one record; a blank line is none where records are rows."""
        if self._table is not None and self._is_skipped(record):
            return
        self._records.append(record)
        if len(self._records) >= self.category.slice_size:
            self._cut()

    def extend(self, records: Iterable[Any]) -> None:
        """Add records; a list is cut into slices without looking at each."""
        size = self.category.slice_size
        if isinstance(records, list):
            self._records += self._without_blank(records)
            if len(self._records) >= size:
                self._cut()
            return
        for record in records:
            self.append(record)

    def add_slice(self, records: list[Any]) -> None:
        """Add records as one slice, whatever their number."""
        self._flush_records()
        if records := self._without_blank(records):
            self._add(records)

    def _is_skipped(self, record: Any) -> bool:
        is_blank = record.__class__ is str and (not record or record.isspace())
        return is_blank and self._is_no_row(record)

    def _is_no_row(self, line: str) -> bool:
        table = self._table
        if table is not None and table.needs_header:  # a header was read since
            table = self._table = tables.input_table(self.category)
        return table is not None and table.skips_blank_lines and table.is_blank(line)

    def _without_blank(self, records: list[Any]) -> list[Any]:
        if self._table is None:
            return records
        skipped = self._is_skipped
        return [record for record in records if not skipped(record)]

    def _cut(self) -> None:
        size, records = self.category.slice_size, self._records
        whole = len(records) // size * size
        for start in range(0, whole, size):
            self._add(records[start : start + size])
        self._records = records[whole:]

    # --- storing slices ----------------------------------------------------------------------

    def _add(self, records: list[Any]) -> None:
        slice_ = Slice(records, self._number)
        slice_._slices = self.slices
        try:
            document = slice_.to_document()
        except Exception as error:
            if isinstance(error, RocketJobError) and not isinstance(error, StreamError):
                raise  # a key is missing, or it is too large: it says itself what to do
            raise _unstorable(self.category, slice_, error) from error
        self._number += len(records)
        self.count += len(records)
        self._ready.append(document)
        packed = document["records"]
        self._bytes += len(packed) if isinstance(packed, bytes | str) else 100 * len(records)
        if len(self._ready) >= SLICES_AT_ONCE or self._bytes >= BYTES_AT_ONCE:
            self._store()

    def _store(self) -> None:
        if not self._ready:
            return
        ready, self._ready, self._bytes = self._ready, [], 0
        try:
            with within_reach():
                self._advance_mark()
                self._end = self._number  # what is below it is this upload's, and no other's
                self.slices.collection.insert_many(ready)
        except Exception as error:
            if (why := self._refusal(ready, error)) is not error:
                raise why from None  # that of a store may hold all of the records
            raise
        if self.progress is not None:
            self.progress(self.count)

    def _refusal(self, documents: list[Stored], error: Exception) -> Exception:
        """Say why the store refuses slices: one is too large, or holds what a document cannot."""
        why = explained(error, documents)
        for document in documents if why is error else ():
            with contextlib.suppress(Exception):  # a plugin's serializer may not read it either
                why = _unstorable(self.category, Slice.load(document, self.slices), error)
            if why is not error:
                break
        return why

    def _advance_mark(self) -> None:
        """Say in the stored job how far the numbers are given away: one upload at a time."""
        job = self.job
        if job.is_new:
            return
        key = f"{MARKS}.{self.category.name}"
        condition = {**write_filter(job), "state": {"$nin": ENDED}, key: self.mark}
        update = job.collection().update_one(condition, {"$set": {key: self._number}})
        if not update.matched_count:
            raise self._conflict()
        self.mark = self._number

    def _conflict(self) -> Exception:
        stored = self.job.collection().find_one({"_id": self.job.id}, {"state": 1})
        if stored is None:
            return NotFound(f"{self.job!r} was removed while records were uploaded to it")
        if stored["state"] in ENDED:
            return StateConflict(f"{self.job!r} is {stored['state']}: it takes no more records")
        return StateConflict(
            f"another upload to {self.category.name} of {self.job!r} is under way: one at a time"
        )

    def _flush_records(self) -> None:
        if self._records:
            records, self._records = self._records, []
            self._add(records)

    def finish(self) -> int:
        """Store what is left, and add to the job's `record_count`; return the records' number."""
        self._flush_records()
        self._store()
        if self.category.name == "main":
            with within_reach():
                add_to_record_count(self.job, self.count)
        self._close()
        return self.count

    def undo(self) -> None:
        """Remove what was added; what other uploads added stays."""
        self._close()
        if self.category.name == "main":  # first: without slices it would seem to be done
            take_back_record_count(self.job, self.mark, self._counted, self.count)
        remove(self.job, self.category, self.first, self._end)
        if self.job.is_new and not self.slices.count():
            self.slices.drop()  # of a job that may never be: nobody else knows of it

    def __enter__(self) -> UploadWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            try:
                self.finish()
            except BaseException as failed:
                self._fail(failed)
                raise
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        number = self.count + len(self._records) + 1
        # Ours say themselves where they happened; records are read and stored many at once.
        where = "failed" if isinstance(error, RocketJobError) else f"stopped at record {number}"
        try:
            self.undo()
            error.add_note(f"The upload {where}; what it had added is removed.")
        except Exception as lost:
            error.add_note(f"The upload {where}; what it had added could not be removed: {lost}")


def _unstorable(category: InputCategory, slice_: Slice, error: Exception) -> Exception:
    """Say which record cannot be stored."""
    bad = refused(category.serializer, slice_.records)
    if bad is None:
        return error
    number, problem = slice_.id + bad[0], bad[1]
    return StreamError(f"cannot be stored: {problem}", file=category.file_of(number), record=number)
