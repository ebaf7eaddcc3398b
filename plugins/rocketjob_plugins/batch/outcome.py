"""What became of a slice, and how it is stored.

Storing is one step: the input slice is removed (or failed, or queued again) on condition that it
is still this worker's, and only then is its output stored. Output is kept under the number of its
first record, so that it is in the order of the input wherever it was made, and a part that is
processed later falls into its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any


from rocketjob.errors import ClaimLost
from rocketjob.job_exception import JobException
from rocketjob.store import Stored
from rocketjob_plugins.batch.result import Result, Results
from rocketjob_plugins.batch.slice import EXCEPTION, Slice
from rocketjob_plugins.batch.slices import claim_guard

if TYPE_CHECKING:
    from rocketjob_plugins.batch.batch import Batch

RELEASED = {"worker_name": "", "claimed_by": "", "started_at": ""}


class Outcome:
    """The results of a slice, while it is processed and afterwards.

    Attributes:
        start: the first record to process, from 0: later than 0 where an earlier try got so far.
        index: the record in work, from 0.
        state: done, failed or released.
    """

    def __init__(self, slice_: Slice, job: Batch) -> None:
        self.slice, self.job = slice_, job
        self.start = max(0, (slice_.processing_record_number or 1) - 1)
        self.index = self.start
        self.state = "done"
        self.error: BaseException | None = None
        self.documents: list[tuple[str, Stored]] = []
        self.rejected: list[tuple[int, Any, str]] = []
        self._keep = {each.name: each.nils for each in job.output_categories}
        self._main = self._keep.get("main")
        self._collected: dict[str, list[Any]] = {name: [] for name in self._keep}
        self._into_main = self._collected.get("main")
        self._from = self.start
        self.statistics: dict[str, int] = {}

    @classmethod
    def untouched(cls, slice_: Slice) -> Outcome:
        """Return the outcome of a slice that is given back as it was."""
        made = cls.__new__(cls)
        made.slice, made.state, made.documents = slice_, "released", []
        made.rejected, made.statistics = [], {}
        made.start = made.index = max(0, (slice_.processing_record_number or 1) - 1)
        return made

    # --- while it is processed ---------------------------------------------------------------

    def parse(self, records: list[Any]) -> Sequence[Any]:
        """Return the records as `perform` gets them: rows, where the input is tabular."""
        category = self.job.input_category_for(self.job.input_categories[0])
        if not category.is_tabular or category.mode != "line":
            return records
        from rocketjob_plugins.batch.tables import LazyRows

        return LazyRows(category, records)

    def take(self, value: Any) -> None:
        """Keep what perform returned for a record."""
        into = self._into_main
        kind = type(value)
        if into is not None and kind is not Result and kind is not Results:
            if value is not None or self._main:
                into.append(value)
        elif self._keep:
            self._take_results(value)
        self._count()

    def _take_results(self, value: Any) -> None:
        results = value if isinstance(value, Results) else [value]
        for each in results:
            result = each if isinstance(each, Result) else Result(each)
            if result.category not in self._collected:
                self.job.output_category_for(result.category)  # raises: unknown category
            if result.value is not None or self._keep[result.category]:
                self._collected[result.category].append(result.value)

    def _count(self) -> None:
        pending: dict[str, int] | None = self.job.__dict__.get("_pending_statistics")
        if pending:
            for key, count in pending.items():
                self.statistics[key] = self.statistics.get(key, 0) + count
            pending.clear()

    def reject(self, error: BaseException) -> None:
        """Set the record in work aside, and go on behind it."""
        self._forget_pending()
        self._close_part(self.index)
        self._from = self.index + 1
        record = self.slice.records[self.index]
        self.rejected.append((self.slice.id + self.index, record, f"{type(error).__name__}: {error}"))

    def release_at(self, index: int) -> None:
        """Note that the slice is to be queued again, to go on at a record."""
        if index < len(self.slice.records):
            self.state, self.index = "released", index

    def fail(self, error: BaseException) -> None:
        """Note that the record in work failed; what came before it is kept."""
        self._forget_pending()
        self.state, self.error = "failed", error
        self.slice.processing_record_number = self.index + 1
        self.slice.exception = JobException.of(error, self.slice.worker_name)
        try:
            self._close_part(self.index)
        except Exception as unstorable:
            # What cannot be stored is the failure: all of the slice is to be done again.
            self.documents.clear()
            self.index = self.start
            self.slice.processing_record_number = self.start + 1
            self.slice.exception = JobException.of(unstorable, self.slice.worker_name)

    def _forget_pending(self) -> None:
        pending = self.job.__dict__.get("_pending_statistics")
        if pending:
            pending.clear()

    def seal(self) -> None:
        """Pack what was collected; raises where a value cannot be stored."""
        try:
            self._close_part(self.index if self.state == "released" else len(self.slice.records))
        except Exception as error:
            raise self._unstorable(error) from error

    def _unstorable(self, error: Exception) -> Exception:
        message = f"the output of slice {self.slice.id} cannot be stored: {error}"
        return type(error)(message) if type(error) in (TypeError, ValueError) else ValueError(message)

    def _close_part(self, end: int) -> None:
        """Pack the output of the records up to here as one slice of output."""
        for name, records in self._collected.items():
            if not records:
                continue
            category = self.job.output_category_for(name)
            rendered = self._render(name)(records)
            part = Slice(rendered, self.slice.id + self._from, self.job.output_for(category))
            part.state = "completed"
            self.documents.append((part._slices.name, part.to_document()))  # type: ignore[union-attr]
            records.clear()
        self._from = end

    def _render(self, name: str) -> Callable[[list[Any]], list[Any]]:
        category = self.job.output_category_for(name)
        if not category.is_tabular:
            return list
        from rocketjob_plugins.batch.tables import renderer

        return renderer(self.job, category)

    # --- stored ------------------------------------------------------------------------------

    def update(self) -> dict[str, Any]:
        """Return the update of a slice that stays: failed, or queued again."""
        changed: dict[str, Any] = {"processing_record_number": self.index + 1}
        if self.state == "failed":
            changed["state"] = "failed"
            encode = EXCEPTION.encode
            changed["exception"] = encode(self.slice.exception) if encode else None
            return {"$set": changed, "$unset": RELEASED, "$inc": {"failure_count": 1}}
        if self.index == 0:
            return {"$set": {"state": "queued"}, "$unset": RELEASED}
        return {"$set": {"state": "queued", **changed}, "$unset": RELEASED}


def store_outcomes(job: Batch, outcomes: list[Outcome]) -> None:
    """Store what became of slices, each if it is still this worker's; in one step."""
    from rocketjob_plugins.batch import rejects

    inputs = job.input
    added: dict[str, list[Stored]] = {}
    statistics: dict[str, int] = {}
    with inputs.store.transaction():
        for outcome in outcomes:
            if not _settle_input(inputs.collection, outcome):
                lost = ClaimLost(f"{outcome.slice!r} of {job!r} was taken away; nothing written")
                job.logger.warning("ClaimLost", slice=outcome.slice.id, reason=str(lost))
                continue
            for name, document in outcome.documents:
                added.setdefault(name, []).append(document)
            for key, count in outcome.statistics.items():
                statistics[key] = statistics.get(key, 0) + count
            rejects.store(job, outcome)
        for name, documents in added.items():
            inputs.store.collection(name).insert_many(documents)
        if statistics:
            _add_statistics(job, statistics)


def _settle_input(collection: Any, outcome: Outcome) -> bool:
    guard = claim_guard(outcome.slice)
    if outcome.state == "done":
        return bool(collection.delete_one(guard).deleted_count)
    return bool(collection.update_one(guard, outcome.update()).matched_count)


def _add_statistics(job: Batch, statistics: dict[str, int]) -> None:
    if job.is_new:
        return
    increments = {f"statistics.{key}": count for key, count in statistics.items()}
    job.collection().update_one({"_id": job.id}, {"$inc": increments})


