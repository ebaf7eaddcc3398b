"""`Outcome`: what became of the records of a slice, as the documents that are to be stored.

`commit` stores it as one unit: the input slice is removed (or failed, or queued again) on condition
that it is still this worker's, and its output, rejects and counts are stored with that or not at
all.
In a store without transactions that takes several writes. The first one makes the outcome certain:
it takes the records out of the slice and leaves a note of the rest, which anybody can finish; the
slice itself goes last, so that the job does not end before its output is stored.

Output is kept under the number of its first record, so that it is in the order of the input
wherever it was made, and a part that is processed later falls into its place.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple

from rocketjob.base import clock
from rocketjob.base.errors import DocumentTooLarge, RocketJobError
from rocketjob.jobs.exception import JobException
from rocketjob.store import Stored, Write
from rocketjob.worker.runner import refuse_lazy
from rocketjob_plugins.batch.category import OutputCategory
from rocketjob_plugins.batch.io.rows import RowWriter
from rocketjob_plugins.batch.io.tables import is_one_line, lazy_rows, parses
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.result import Result, Results
from rocketjob_plugins.batch.serializers import check_texts, refused, serializer
from rocketjob_plugins.batch.slice import EXCEPTION, RELEASED, Slice, explained
from rocketjob_plugins.batch.slices import claim_guard
from rocketjob_plugins.batch.statistics import Statistics
from rocketjob_plugins.batch.streams import StreamError

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

SHOWN = (TypeError, ValueError, DocumentTooLarge)  # as they are; others as a ValueError


class Reject(NamedTuple):
    """A bad record that was set aside, and what had been counted in its slice by then."""

    number: int
    record: Any
    error: BaseException
    statistics: dict[str, int]


class Outcome:
    """The results of a slice, while it is processed and afterwards.

    Attributes:
        start: the first record to process, from 0: later than 0 where an earlier try got so far.
        index: the record in work, from 0.
        state: done, failed or released.
        is_stored: whether it was stored, the slice being still this worker's.
        seconds: how long it took to process.
        crashes: how often the process of its own has ended at the record at which it is released.
    """

    is_stored = False
    seconds = 0.0
    crashes: int | None = None

    def __init__(self, slice_: Slice, job: BatchModel) -> None:
        self.slice, self.job = slice_, job
        self.start = max(0, (slice_.processing_record_number or 1) - 1)
        self.index = self.start
        self.state = "done"
        self.error: BaseException | None = None
        self.documents: list[tuple[str, Stored]] = []
        self._given_by: dict[tuple[str, int], list[int]] = {}  # a document's values: their records
        self.rejected: list[Reject] = []
        self._keep = {category.name: category.nils for category in job.output_categories}
        self._writers = _writers(job)
        self._checks = {category.name: _check_of(category) for category in job.output_categories}
        self._collected: dict[str, list[Any]] = {name: [] for name in self._keep}
        self._of_record: dict[str, list[int]] = {name: [] for name in self._keep}
        self._into_main = self._collected.get("main")
        self._from = self.start
        self.statistics: dict[str, int] = {}
        self._pending = job.pending_statistics if isinstance(job, Statistics) else None
        self._counts: list[tuple[int, dict[str, int]]] = []

    @classmethod
    def untouched(cls, slice_: Slice, job: BatchModel) -> Outcome:
        """Return the outcome of a slice that is released as it was."""
        outcome = cls.__new__(cls)
        outcome.slice, outcome.state, outcome.documents = slice_, "released", []
        outcome.rejected, outcome.statistics, outcome._collected, outcome._counts = [], {}, {}, []
        outcome._given_by, outcome._checks = {}, {}
        outcome.job, outcome.error = job, None
        outcome.start = outcome.index = max(0, (slice_.processing_record_number or 1) - 1)
        return outcome

    # --- while it is processed ---------------------------------------------------------------

    def parse(self, records: list[Any]) -> Sequence[Any]:
        """Return the records as `perform` gets them: rows, where the input is tabular."""
        category = self.job.input_category_for("main")
        if not parses(category):
            return records
        return lazy_rows(self.job, category, records, self.slice.id)

    def plain_append(self) -> tuple[Callable[[Any], None], Callable[[int], None]] | None:
        """Return what keeps a plain value and its record, where `take` would do nothing else."""
        if self._into_main is None:
            return None
        append, write = self._into_main.append, self._writers.get("main")
        mark = self._of_record["main"].append
        return (append if write is None else lambda value: append(write(value))), mark

    def take(self, value: Any, index: int | None = None) -> None:
        """Keep what perform returned for a record, which is that in work if none is given."""
        index, kept = self.index if index is None else index, self._kept(value)
        for name, written in kept:
            self._collected[name].append(written)
            self._of_record[name].append(index)
        self._count(index)

    def _kept(self, value: Any) -> list[tuple[str, Any]]:
        """Return what is to be kept; all of it, before any is: of a record that fails nothing is.

        Raises:
            ValueError: a category is unknown, or its format cannot hold the value.
        """
        if isinstance(value, CoroutineType):
            value.close()
            raise TypeError("perform returned a coroutine: write async def perform")
        refuse_lazy(value)
        if not self._keep:
            return []
        given = value if isinstance(value, Results) else [value]
        results = [item if isinstance(item, Result) else Result(item) for item in given]
        for result in results:
            if result.category not in self._collected:
                self.job.output_category_for(result.category)  # raises: unknown category
        return [
            (result.category, self._written(result))
            for result in results
            if result.value is not None or self._keep[result.category]
        ]

    def _written(self, result: Result) -> Any:
        write = self._writers.get(result.category)
        return result.value if write is None else write(result.value)

    def _count(self, index: int) -> None:
        pending = self._pending
        if pending:
            self._counts.append((index, dict(pending)))
            add_counts(self.statistics, pending)
            pending.clear()

    def reject(self, error: BaseException) -> None:
        """Set the record in work aside, and go on behind it."""
        self._forget_pending()
        self._close_parts(self.index)
        self._set_aside(self.index, error)

    def _set_aside(self, index: int, error: BaseException) -> None:
        self._from = index + 1
        number, counted = self.slice.id + index, self._counted_before(index)
        self.rejected.append(Reject(number, self.slice.records[index], error, counted))

    def undo_from(self, reject: Reject, error: BaseException) -> None:
        """Fail at a record that was rejected already, and forget what came behind it."""
        self.rejected = [each for each in self.rejected if each.number < reject.number]
        self.documents = [each for each in self.documents if each[1]["_id"] < reject.number]
        self.statistics = reject.statistics
        self.index = self._from = reject.number - self.slice.id
        self.fail(error)

    def release_at(self, index: int) -> None:
        """Note that the slice is to be queued again, to go on at a record."""
        self.index = index
        if index < len(self.slice.records):
            self.state = "released"

    def given_back(self) -> Outcome:
        """Return the outcome of the same slice, queued again as if nothing had been done."""
        self._forget_pending()
        return Outcome.untouched(self.slice, self.job)

    def fail(self, error: BaseException) -> None:
        """Note that the record in work failed; what came before it is kept."""
        self._forget_pending()
        try:
            if isinstance(error, RecordUnstorable):
                raise error
            self._close_parts(self.index)
        except RecordUnstorable as earlier:
            self._stop_at(earlier.index)
            error = earlier.error
        except Exception as unstorable:
            return self.fail_whole(self._unstorable(unstorable))
        self.state, self.error = "failed", error
        self.slice.processing_record_number = self.index + 1
        self.slice.exception = JobException.of(error, self.slice.worker_name)

    def _stop_at(self, index: int) -> None:
        """Forget a record and what came behind it; what came before it is stored already."""
        self.index, self.statistics = index, self._counted_before(index)
        for name in self._collected:
            self._collected[name].clear()
            self._of_record[name].clear()

    def refused_by_store(self, error: Exception) -> None:
        """Fail because the store refuses the output; say which record gave it, if that is seen."""
        explanation = explained(error, (document for _, document in self.documents))
        self.fail_whole(self._first_refused() or explanation)

    def _first_refused(self) -> Exception | None:
        """Look into what was packed already: usually the serializer has refused it before."""
        refusals = []
        for (name, number), indexes in self._given_by.items():
            slices = self.job.output_for(name)
            stored = dict(self._documents_of(slices.name)).get(number)
            if stored is None or slices.serializer.whole:  # that is one file, and no list of values
                continue
            with contextlib.suppress(Exception):
                records = slices.serializer.load(stored["records"])
                if bad := refused(slices.serializer.name, records):
                    refusals.append((indexes[bad[0]], bad[1]))
        return self._unstorable_record(*min(refusals)) if refusals else None

    def _documents_of(self, collection: str) -> Iterator[tuple[int, Stored]]:
        return (
            (document["_id"], document) for name, document in self.documents if name == collection
        )

    def _unstorable_record(self, index: int, why: str) -> StreamError:
        problem = f"what perform returned cannot be stored: {why}"
        return StreamError(problem, record=self.slice.id + index)

    def fail_whole(self, error: BaseException) -> None:
        """Fail because the output cannot be stored: all of the slice is to be done again."""
        self.documents, self.rejected, self.statistics = [], [], {}
        self._stop_at(self.start)
        self.state, self.error = "failed", error
        self.slice.processing_record_number = self.start + 1
        self.slice.exception = JobException.of(error, self.slice.worker_name)

    def _forget_pending(self) -> None:
        if self._pending:
            self._pending.clear()

    def seal(self) -> None:
        """Pack what was collected; raises where a value cannot be stored."""
        try:
            self._close_parts(self.index if self.state == "released" else len(self.slice.records))
        except RecordUnstorable:
            raise
        except Exception as error:
            raise self._unstorable(error) from error

    def _unstorable(self, error: Exception) -> Exception:
        message = f"the output of slice {self.slice.id} cannot be stored: {error}"
        if str(error).startswith("the output of slice"):
            return error
        return type(error)(message) if type(error) in SHOWN else ValueError(message)

    def _close_parts(self, end: int) -> None:
        """Pack the output of the records up to here; set those aside whose output cannot be.

        What is too large for one slice of output becomes several.

        Raises:
            RecordUnstorable: there are too many of them; what comes before this one is packed.
        """
        first: tuple[int, Exception] | None
        while True:
            try:
                return self._close_part(end)
            except DocumentTooLarge as error:
                given = self._given_up_to(end)
                if len(given) > 1:
                    self._close_parts(given[len(given) // 2])
                    continue
                if self._from < given[0]:  # so that the error names this one
                    self._close_part(given[0])
                    continue
                first = given[0], error
            except Exception as error:
                if isinstance(error, RocketJobError) and not isinstance(error, StreamError):
                    raise  # it says itself what to do
                first = self._first_unstorable()
                if first is None or first[0] >= end:
                    raise
            index, why = first
            self._close_part(index)
            if not rejects.may_reject(self.job, self):
                raise RecordUnstorable(index, why)
            self._leave_out(index)
            self._set_aside(index, why)

    def _given_up_to(self, end: int) -> list[int]:
        """Return the records up to here that have given something which is not packed yet."""
        indexes = {index for numbers in self._of_record.values() for index in numbers}
        return sorted(index for index in indexes if index < end)

    def _first_unstorable(self) -> tuple[int, Exception] | None:
        """Return the first record that has given what cannot be stored, and what to say of it."""
        refusals: list[tuple[int, Exception]] = []
        for name, records in self._collected.items():
            named = self.job.output_category_for(name).serializer
            bad = refused(named, records, self._checks[name])
            if bad is not None:
                index = self._of_record[name][bad[0]]
                refusals.append((index, self._unstorable_record(index, bad[1])))
        return min(refusals, key=lambda numbered: numbered[0]) if refusals else None

    def _leave_out(self, index: int) -> None:
        for name, numbers in self._of_record.items():
            until = bisect_right(numbers, index)
            del self._collected[name][:until], numbers[:until]
        self._counts = [each for each in self._counts if each[0] != index]
        self.statistics = self._counted_before(len(self.slice.records))

    def _counted_before(self, index: int) -> dict[str, int]:
        total: dict[str, int] = {}
        for number, counted in self._counts:
            if number < index:
                add_counts(total, counted)
        return total

    def _close_part(self, end: int) -> None:
        """Pack the output of the records up to here as one slice of output."""
        documents = []
        for name, records in self._collected.items():
            until = bisect_left(self._of_record[name], end)
            if not until:
                continue
            self._checks[name](records[:until])
            category = self.job.output_category_for(name)
            slices = self.job.output_for(category)
            part = Slice(records[:until], self.slice.id + self._from, slices)
            part.state = "completed"
            documents.append((slices.name, part.to_document()))
            self._given_by[name, part.id] = self._of_record[name][:until]
        for name, numbers in self._of_record.items():
            until = bisect_left(numbers, end)
            del self._collected[name][:until], numbers[:until]
        self.documents += documents
        self._from = end

    # --- stored ------------------------------------------------------------------------------

    def write(self) -> Write:
        """Return the write of the input slice, which has no effect if a worker has lost it."""
        return Write(claim_guard(self.slice), None if self.state == "done" else self.update())

    def update(self) -> dict[str, Any]:
        """Return the update of a slice that stays: failed, or queued again."""
        changed: dict[str, Any] = {"processing_record_number": self.index + 1}
        if self.state == "failed":
            changed["state"] = "failed"
            encode = EXCEPTION.encode
            changed["exception"] = encode(self.slice.exception) if encode else None
            changed["failed_at"] = clock.now()
            return {"$set": changed, "$unset": RELEASED, "$inc": {"failure_count": 1}}
        released = {"state": "queued", **(changed if self.index else {})}
        if self.crashes is not None:
            released["interruptions"] = self.crashes
        return {"$set": released, "$unset": RELEASED}


class RecordUnstorable(Exception):
    """What a record has given cannot be stored, and it may not be set aside."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(str(error))
        self.index, self.error = index, error


def _writers(job: BatchModel) -> dict[str, RowWriter]:
    """Return what makes lines of rows, for each output that has a format."""
    return {
        category.name: RowWriter(job, category)
        for category in job.output_categories
        if category.is_tabular
    }


def _check_of(category: OutputCategory) -> Callable[[list[Any]], None]:
    """Return what refuses texts that could not be written; values may only be for `records`."""
    is_file = category.file_name is not None or serializer(category.serializer).whole
    if category.format is not None or not is_file:
        return check_texts
    return partial(check_texts, as_lines=True, single=is_one_line(category))


def add_counts(total: dict[str, int], counted: Mapping[str, int]) -> None:
    for key, count in counted.items():
        total[key] = total.get(key, 0) + count
