"""What became of a slice, and how it is stored.

Storing is one step: the input slice is removed (or failed, or queued again) on condition that it
is still this worker's, and only then is its output stored. Output is kept under the number of its
first record, so that it is in the order of the input wherever it was made, and a part that is
processed later falls into its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rocketjob.base.errors import DocumentTooLarge, RocketJobError
from rocketjob.jobs.exception import JobException
from rocketjob.store import Store, Stored, Write, atomically
from rocketjob_plugins.batch.result import Result, Results
from rocketjob_plugins.batch.serializers import refused
from rocketjob_plugins.batch.slice import EXCEPTION, Slice
from rocketjob_plugins.batch.slices import claim_guard
from rocketjob_plugins.batch.tables import lazy_rows, parses

if TYPE_CHECKING:
    from rocketjob_plugins.batch.batch import Batch

SHOWN = (TypeError, ValueError, DocumentTooLarge)  # as they are; others as a ValueError
RELEASED = {"worker_name": "", "claimed_by": "", "claimed_in": "", "started_at": ""}


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
    """

    def __init__(self, slice_: Slice, job: Batch) -> None:
        self.slice, self.job = slice_, job
        self.start = max(0, (slice_.processing_record_number or 1) - 1)
        self.index = self.start
        self.state = "done"
        self.error: BaseException | None = None
        self.documents: list[tuple[str, Stored]] = []
        self.rejected: list[Reject] = []
        self._keep = {each.name: each.nils for each in job.output_categories}
        self._main = self._keep.get("main")
        self._collected: dict[str, list[Any]] = {name: [] for name in self._keep}
        self._into_main = self._collected.get("main")
        self._from = self.start
        self.statistics: dict[str, int] = {}

    @classmethod
    def untouched(cls, slice_: Slice, job: Batch) -> Outcome:
        """Return the outcome of a slice that is given back as it was."""
        made = cls.__new__(cls)
        made.slice, made.state, made.documents = slice_, "released", []
        made.rejected, made.statistics, made._collected = [], {}, {}
        made.job, made.error = job, None
        made.start = made.index = max(0, (slice_.processing_record_number or 1) - 1)
        return made

    # --- while it is processed ---------------------------------------------------------------

    def parse(self, records: list[Any]) -> Sequence[Any]:
        """Return the records as `perform` gets them: rows, where the input is tabular."""
        category = self.job.input_category_for("main")
        if not parses(category):
            return records
        return lazy_rows(self.job, category, records, self.slice.id)

    def plain_append(self) -> Callable[[Any], None] | None:
        """Return what keeps a plain value, where `take` would do nothing else; or None."""
        return None if self._into_main is None else self._into_main.append

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
        given = value if isinstance(value, Results) else [value]
        results = [each if isinstance(each, Result) else Result(each) for each in given]
        for result in results:  # first: of a record that fails nothing is kept
            if result.category not in self._collected:
                self.job.output_category_for(result.category)  # raises: unknown category
        for result in results:
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
        self.rejected.append(
            Reject(self.slice.id + self.index, record, error, dict(self.statistics))
        )

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

    def fail(self, error: BaseException) -> None:
        """Note that the record in work failed; what came before it is kept."""
        self._forget_pending()
        self.state, self.error = "failed", error
        self.slice.processing_record_number = self.index + 1
        self.slice.exception = JobException.of(error, self.slice.worker_name)
        try:
            self._close_part(self.index)
        except Exception as unstorable:
            self.fail_whole(self._unstorable(unstorable))

    def fail_whole(self, error: BaseException) -> None:
        """Fail because the output cannot be stored: all of the slice is to be done again."""
        self.documents, self.rejected, self.statistics = [], [], {}
        for kept in self._collected.values():
            kept.clear()
        self.state, self.error, self.index = "failed", error, self.start
        self.slice.processing_record_number = self.start + 1
        self.slice.exception = JobException.of(error, self.slice.worker_name)

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
        if str(error).startswith("the output of slice"):
            return error
        return type(error)(message) if type(error) in SHOWN else ValueError(message)

    def _close_part(self, end: int) -> None:
        """Pack the output of the records up to here as one slice of output."""
        for name, records in self._collected.items():
            if not records:
                continue
            category = self.job.output_category_for(name)
            rendered = self._render(name)(records)
            part = Slice(rendered, self.slice.id + self._from, self.job.output_for(category))
            part.state = "completed"
            try:
                document = part.to_document()
            except RocketJobError:
                raise
            except Exception as error:
                found = refused(category.serializer, rendered)
                raise ValueError(found[1] if found else str(error)) from error
            self.documents.append((part._slices.name, document))  # type: ignore[union-attr]
            records.clear()
        self._from = end

    def _render(self, name: str) -> Callable[[list[Any]], list[Any]]:
        category = self.job.output_category_for(name)
        if not category.is_tabular:
            return list
        from rocketjob_plugins.batch.tables import renderer

        return renderer(self.job, category)

    # --- stored ------------------------------------------------------------------------------

    def settling(self) -> Write:
        """Return the write of the input slice, which has no effect if a worker has lost it."""
        return Write(claim_guard(self.slice), None if self.state == "done" else self.update())

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


def store_outcomes(job: Batch, outcomes: list[Outcome]) -> dict[str, int]:
    """Store what became of slices, each if it is still this worker's; in one step.

    Returns:
        what they counted and is still to be added to the job, where that is in another store.
    """
    from rocketjob_plugins.batch import rejects

    inputs = job.input
    if not inputs.store.supports_transactions and not job.is_new:
        _store_stepwise(job, outcomes)
        return {}

    def step(session: Any) -> dict[str, int]:
        added: dict[str, list[Stored]] = {}
        statistics: dict[str, int] = {}
        if job.max_rejects is not None:
            rejects.keep_to_limit(job, outcomes)
        writes = [outcome.settling() for outcome in outcomes]
        was_ours = inputs.store.write_many(inputs.name, writes) if writes else []
        for outcome, ours in zip(outcomes, was_ours, strict=True):
            if not ours:
                _lost(job, outcome)
                continue
            for name, document in outcome.documents:
                added.setdefault(name, []).append(document)
            for key, count in outcome.statistics.items():
                statistics[key] = statistics.get(key, 0) + count
            rejects.store(job, outcome)
        for name, documents in added.items():
            inputs.store.collection(name).insert_many(documents)
        if not statistics or inputs.store is not job_store(job):
            return statistics
        add_statistics(job, statistics)
        return {}

    return atomically(inputs.store, step)


def _store_stepwise(job: Batch, outcomes: list[Outcome]) -> None:
    from rocketjob_plugins.batch import rejects, stepwise

    if job.max_rejects is not None:
        rejects.keep_to_limit(job, outcomes)
    for outcome in outcomes:
        if not stepwise.settle(job, outcome, rejects.documents_of(job, outcome)):
            _lost(job, outcome)


def job_store(job: Batch) -> Store:
    from rocketjob.application import current

    return current().store


def _lost(job: Batch, outcome: Outcome) -> None:
    reason = f"{outcome.slice!r} of {job!r} was taken away; nothing was written"
    job.logger.warning("ClaimLost", slice=outcome.slice.id, reason=reason)


def add_statistics(job: Batch, statistics: dict[str, int]) -> None:
    """Add counts to the stored job."""
    if job.is_new:
        from rocketjob_plugins.batch.statistics import add_nested

        for key, count in statistics.items():
            add_nested(job.__dict__["statistics"], key, count)
        return
    increments = {f"statistics.{key}": count for key, count in statistics.items()}
    job.collection().update_one({"_id": job.id}, {"$inc": increments})
