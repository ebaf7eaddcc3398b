"""The mixin `Batch`: a job whose input is cut into slices that many workers process at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from rocketjob import after
from rocketjob.store import Filter
from rocketjob_plugins.batch.category import InputCategory, OutputCategory
from rocketjob_plugins.batch.class_body import batch_throttle
from rocketjob_plugins.batch.io import download, upload
from rocketjob_plugins.batch.io.iterables import mongo_rows
from rocketjob_plugins.batch.io.undo import forget_uploads
from rocketjob_plugins.batch.model import BatchModel
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.progress import shown_progress

if TYPE_CHECKING:
    from rocketjob.jobs.reasons import Reason, Remark
    from rocketjob.worker.runner import Worker
    from rocketjob_plugins.batch.streams import ReadKeywords

__all__ = ["Batch", "batch_throttle"]


class Batch(BatchModel, abstract=True):
    """Mixin: process a large input in slices. See the package."""

    @overload
    def upload(
        self,
        source: None = None,
        category: str | InputCategory = "main",
        *,
        stream_mode: str | None = None,
        on_first: Callable[[Any], None] | None = None,
        progress: Callable[[int], None] | bool | None = None,
        **reading: Unpack[ReadKeywords],
    ) -> Any: ...
    @overload
    def upload(
        self,
        source: object,
        category: str | InputCategory = "main",
        *,
        stream_mode: str | None = None,
        on_first: Callable[[Any], None] | None = None,
        progress: Callable[[int], None] | bool | None = None,
        **reading: Unpack[ReadKeywords],
    ) -> int: ...
    def upload(
        self,
        source: Any = None,
        category: str | InputCategory = "main",
        *,
        stream_mode: str | None = None,
        on_first: Callable[[Any], None] | None = None,
        progress: Callable[[int], None] | bool | None = None,
        **reading: Unpack[ReadKeywords],
    ) -> Any:
        """Add input: a path, URL, file object, iterable, range or table; return how many records.

        Without a source the category's `file_name` is uploaded; if it has none, a writer is
        returned: `with job.upload() as records: records.append("one")`. Never more than a few
        slices are in memory. An upload that fails removes what it added.

        Args:
            category: which input.
            stream_mode: line, array or hash; the category's `mode` if not given.
            on_first: called with the first line, which is then not a record.
            progress: called with the number of records so far; True shows it on a terminal.
            reading: how a file is read, as in `streams.ReadOptions`: `file_name` (decides streams
                and format instead of the source's name), `streams`, `delimiter`, `encoding`,
                `encode_replace`, `encode_cleaner` and `limits`.

        Raises:
            StreamError: names the file, line and column; what was added is removed.
            StoreUnavailable: a store is out of reach; a note says whether what was added is gone.
        """
        input_category = self.input_category_for(category)
        with shown_progress(progress) as shown:
            asked = upload.Asked(reading, stream_mode, on_first, shown)
            return upload.upload(self, source, input_category, asked)

    def upload_slice(self, records: list[Any], category: str | InputCategory = "main") -> int:
        """Add one slice, whatever its length; return its length."""
        return upload.upload_slice(self, records, self.input_category_for(category))

    def upload_query(
        self, query: Any, session: Any = None, category: str | InputCategory = "main"
    ) -> int:
        """Add the rows of a SQLAlchemy select (with its session or connection) or Django QuerySet.

        A row of one column is that value, any other a list, and a model its primary key. Rows come
        in the order of the query, and else in that of the primary key: another time it is the same.

        Raises:
            TypeError: it is no such query, or the session is missing.
        """
        return upload.upload_query(self, query, session, self.input_category_for(category))

    def upload_mongo_query(
        self,
        collection: Any,
        filter: Filter | None = None,
        columns: Sequence[str] = ("_id",),
        category: str | InputCategory = "main",
    ) -> int:
        """Add the documents that match: one column as its value, several as a list."""
        rows = mongo_rows(collection, filter or {}, columns)
        return upload.upload_records(self, rows, self.input_category_for(category))

    def upload_integer_range(
        self, first: int, last: int, category: str | InputCategory = "main"
    ) -> int:
        """Add ranges of `slice_size` numbers, one record `(first, last)` a slice; return how many.

        If `first` is the higher number, the highest range comes first.
        """
        return upload.upload_ranges(self, first, last, self.input_category_for(category))

    def download(
        self,
        target: Any = None,
        category: str | OutputCategory = "main",
        *,
        header_line: str | None = None,
        streams: Sequence[str] | None = None,
        pgp_recipients: Sequence[str] = (),
        progress: Callable[[int], None] | bool | None = None,
    ) -> int:
        """Write an output, in the order of the input; return the number of records.

        Args:
            target: a path, URL or file object; the category's `file_name` if not given. A path
                gets its content when all of it is written, compressed by its extension.
            category: which output.
            header_line: instead of the one that a tabular category has.
            streams: instead of those that the extensions name.
            pgp_recipients: whose keys a `.pgp` file is encrypted with.
            progress: called with the number of records so far; True shows it on a terminal.

        Raises:
            RuntimeError: the job is running. If it is queued, paused or failed, the output so far
                is written.
            NotFound: the job was removed or aborted meanwhile.
            StreamError: the file cannot be written; what was there before is untouched.
        """
        with shown_progress(progress) as shown:
            return download.download(
                self, target, category, header_line, streams, pgp_recipients, shown
            )

    def records(self, category: str | OutputCategory = "main") -> Iterator[Any]:
        """Return the records of an output, in the order of the input."""
        return download.records(self, category)

    def download_rejects(
        self, target: Any, *, reasons: bool = True, format: Literal["csv", "jsonl"] | None = None
    ) -> int:
        """Write the rejected records, with `_row` and `_error`; return how many there are.

        Args:
            target: a path, URL or file object.
            reasons: whether with the column `_error`; `resubmit` does not need it.
            format: `csv`, or `jsonl`, a JSON object on each line; None: by the name, which is
                CSV unless that ends with `.jsonl` or `.ndjson`.

        Raises:
            NotFound: the job was removed or aborted meanwhile.
        """
        return rejects.download(self, target, reasons, format)

    def resubmit(
        self,
        source: Any,
        *,
        separator: str = ",",
        format: Literal["csv", "jsonl"] | None = None,
        **reading: Unpack[ReadKeywords],
    ) -> int:
        """Process a file of corrected rejects again, in the form that `download_rejects` writes.

        Their output takes its place in the order; the job runs again if it had ended.

        Args:
            source: a path, URL or file object.
            separator: what separates values, if a program saved the file with another separator.
            format: as for `download_rejects`.
            reading: how a file is read, as for `upload`.

        Returns:
            how many records there are.
        """
        return rejects.resubmit(self, source, separator, reading, format)

    @after("fail")
    def _forget_uploads(self) -> None:
        forget_uploads(self)

    def work(self, worker: Worker) -> None:
        # Lazy for start-up time: only workers need it.
        from rocketjob_plugins.batch.work.join import work_batch_job

        work_batch_job(self, worker)

    def held_up_by(self) -> Iterator[Reason]:
        # Lazy for start-up time: only those who ask need it.
        from rocketjob_plugins.batch.explain import held_up_by

        return held_up_by(self)

    def remarks(self) -> Iterator[Remark]:
        # Lazy for start-up time: only those who ask need it.
        from rocketjob_plugins.batch.explain import remarks

        yield from super().remarks()
        yield from remarks(self)
