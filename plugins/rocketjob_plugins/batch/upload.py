"""Upload: cut input into slices, with no more than a few of them in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rocketjob.store import Filter
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.slice import Slice
from rocketjob_plugins.batch.slices import InputSlices

if TYPE_CHECKING:
    from rocketjob_plugins.batch.batch import Batch

SLICES_AT_ONCE = 20  # stored in one go ...
BYTES_AT_ONCE = 4 * 1024 * 1024  # ... or about so much of them
FILE_OPTIONS = ("delimiter", "encode_replace", "encode_cleaner", "streams")


class UploadWriter:
    """Takes records one by one; its slices are stored while it fills.

    As a context manager it ends the upload; an exception within removes what it added.
    """

    def __init__(self, job: Batch, category: InputCategory) -> None:
        self.job, self.category = job, category
        self.slices = InputSlices(job.id, category)
        self.slices.create_indexes()
        self.first = self._number = self.slices.next_record_number()
        self._records: list[Any] = []
        self._ready: list[Slice] = []
        self.count = 0

    def append(self, record: Any) -> None:
        """Add one record."""
        self._records.append(record)
        if len(self._records) >= self.category.slice_size:
            self._cut()

    def extend(self, records: Iterable[Any]) -> None:
        """Add records; a list is cut into slices without looking at each."""
        size = self.category.slice_size
        if isinstance(records, list):
            self._records += records
            while len(self._records) >= size:
                self._cut()
            return
        for record in records:
            self.append(record)

    def add_slice(self, records: list[Any]) -> None:
        """Add records as one slice, whatever their number."""
        self._flush_records()
        self._add(records)

    def _cut(self) -> None:
        size = self.category.slice_size
        if len(self._records) == size:
            records, self._records = self._records, []
            self._add(records)
            return
        whole = len(self._records) // size * size
        for start in range(0, whole, size):
            self._add(self._records[start : start + size])
        del self._records[:whole]

    def _add(self, records: list[Any]) -> None:
        self._ready.append(Slice(records, self._number))
        self._number += len(records)
        self.count += len(records)
        if len(self._ready) >= SLICES_AT_ONCE:
            self._store()

    def _store(self) -> None:
        ready, self._ready = self._ready, []
        self.slices.insert_many(ready)

    def _flush_records(self) -> None:
        if self._records:
            records, self._records = self._records, []
            self._add(records)

    def finish(self) -> int:
        """Store what is left, and add to the job's `record_count`; return the records' number."""
        self._flush_records()
        self._store()
        if self.category.name == "main":
            add_to_record_count(self.job, self.count)
        return self.count

    def undo(self) -> None:
        """Remove what was added; what other uploads added stays."""
        self.slices.collection.delete_many({"_id": {"$gte": self.first}})

    def __enter__(self) -> UploadWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.finish()
        else:
            self.undo()


def add_to_record_count(job: Batch, count: int) -> None:
    """Add to `record_count`, which also says that an upload has ended."""
    job.record_count = (job.record_count or 0) + count
    if job.is_new:
        return
    update = {"$inc": {"record_count": count}}
    job.collection().update_one({"_id": job.id}, update)
    stored = {**(job._stored or {}), "record_count": job.record_count}
    job.__dict__["_stored"] = stored
    job._assigned.discard("record_count")


def upload(job: Batch, source: Any, category: InputCategory, options: dict[str, Any]) -> Any:
    """Upload from whatever was given; see `Batch.upload`."""
    if source is None:
        source = category.file_name or options["file_name"]
    if source is None:
        _refuse_options(options, allowed=("file_name",), what="a writer")
        return UploadWriter(job, category)
    if isinstance(source, str | PathLike) or hasattr(source, "read"):
        return upload_file(job, source, category, options)
    _refuse_options(options, allowed=("on_first",), what="an iterable")
    rows = rows_of(source)
    if options["on_first"] is not None:
        rows = iter(rows)
        first = next(rows, None)
        if first is not None:
            options["on_first"](first)
    return upload_records(job, rows, category)


def _refuse_options(options: Mapping[str, Any], allowed: Sequence[str], what: str) -> None:
    given = [n for n, value in options.items() if value is not None and n not in allowed]
    given = [n for n in given if not (n == "encoding" and options[n] == "utf-8")]
    if given:
        raise TypeError(f"upload of {what} takes no {given[0]}: that is for files")


def rows_of(source: Any) -> Iterable[Any]:
    """Return the records of an iterable; of a table its rows, a record batch at a time."""
    if hasattr(source, "to_batches"):  # pyarrow: Table, Dataset
        return (row for batch in source.to_batches() for row in batch.to_pylist())
    if hasattr(source, "read_next_batch"):  # pyarrow: RecordBatchReader
        return (row for batch in source for row in batch.to_pylist())
    if hasattr(source, "itertuples") and hasattr(source, "columns"):  # pandas
        return _frame_rows(source)
    if not isinstance(source, Iterable) or isinstance(source, bytes | Mapping):
        raise TypeError(
            f"cannot upload {type(source).__name__}: give a path, a URL, a file object, an "
            "iterable of records, or a table"
        )
    return source


def _frame_rows(frame: Any) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), 1000):
        part = frame.iloc[start : start + 1000].astype(object)
        for values in part.where(part.notna(), None).itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))


def upload_records(job: Batch, records: Iterable[Any], category: InputCategory) -> int:
    """Upload any iterable of records."""
    category.slice_records = None
    writer = UploadWriter(job, category)
    with writer:
        size = category.slice_size
        iterator = iter(records)
        while part := list(itertools.islice(iterator, size)):
            writer.extend(part)
    return writer.count


def upload_slice(job: Batch, records: list[Any], category: InputCategory) -> int:
    """Upload one slice, whatever its length."""
    with UploadWriter(job, category) as writer:
        if records:
            writer.add_slice(list(records))
    return writer.count


def upload_file(job: Batch, source: Any, category: InputCategory, options: dict[str, Any]) -> int:
    """Upload a file line by line, or row by row."""
    name = options["file_name"] or _name_of(source)
    mode = options["stream_mode"] or category.mode
    if mode not in ("line", "array", "hash"):
        raise ValueError(f"stream_mode must be line, array or hash, not {mode!r}")
    category.file_name, category.slice_records = name or category.file_name, None
    table = _table(category, name, mode)
    reading = {key: options[key] for key in FILE_OPTIONS}
    writer = UploadWriter(job, category)
    with (
        writer,
        streams.open_line_blocks(
            source,
            file_name=name,
            encoding=options["encoding"],
            quoted=table is not None and table.format == "csv",
            **reading,
        ) as blocks,
    ):
        for lines in _after_header(blocks, category, table, options["on_first"]):
            writer.extend(_in_mode(lines, table, mode))
    return writer.count


def _name_of(source: Any) -> str | None:
    if isinstance(source, str | PathLike):
        return str(source) if isinstance(source, str) else str(Path(source))
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def _table(category: InputCategory, name: str | None, mode: str) -> Any:
    from rocketjob_plugins.batch import tables

    if category.format is None and mode == "line":
        return None
    return tables.input_table(category, name)


def _after_header(
    blocks: Iterable[list[str]],
    category: InputCategory,
    table: Any,
    on_first: Callable[[Any], None] | None,
) -> Iterator[list[str]]:
    """Take the header line, and the line for `on_first`, off the first block."""
    wants_header = table is not None and table.needs_header
    for lines in blocks:
        if lines and on_first is not None:
            on_first(lines[0])
            lines, on_first = lines[1:], None
        if lines and wants_header:
            table.parse_header(lines[0])
            category.columns = list(table.columns)
            lines, wants_header = lines[1:], False
        yield lines


def _in_mode(lines: list[str], table: Any, mode: str) -> list[Any]:
    if mode == "line" or table is None:
        return lines
    rows: list[Any] = table.parse_many(lines)
    if mode == "array":
        return [None if row is None else list(row.values()) for row in rows]
    return rows


def upload_ranges(job: Batch, first: int, last: int, category: InputCategory) -> int:
    """Upload one record `(from, to)` a slice."""
    for number in (first, last):
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"upload_integer_range takes two whole numbers, not {number!r}")
    size = category.slice_size
    category.slice_records = 1
    with UploadWriter(job, category) as writer:
        if first <= last:
            for start in range(first, last + 1, size):
                writer.add_slice([(start, min(start + size - 1, last))])
        else:
            for end in range(first, last - 1, -size):
                writer.add_slice([(max(end - size + 1, last), end)])
    return writer.count


def upload_query(job: Batch, query: Any, session: Any, category: InputCategory) -> int:
    """Upload the rows of a relational query, streamed."""
    if hasattr(query, "iterator") and hasattr(query, "model"):  # Django QuerySet
        rows: Iterable[Any] = query.iterator(chunk_size=2000)
        if getattr(query, "_iterable_class", None).__name__ == "ModelIterable":
            rows = query.values_list("pk", flat=True).iterator(chunk_size=2000)
        return upload_records(job, (_row(row) for row in rows), category)
    if session is None:
        raise TypeError("upload_query(select, session): a SQLAlchemy query needs its session")
    result = session.execute(query.execution_options(yield_per=1000))
    return upload_records(job, (_row(tuple(row)) for row in result), category)


def _row(row: Any) -> Any:
    if isinstance(row, tuple):
        return row[0] if len(row) == 1 else list(row)
    return row


def mongo_rows(collection: Any, filter: Filter, columns: Sequence[str]) -> Iterator[Any]:
    """Return the values of columns of the documents that match."""
    if isinstance(columns, str):
        columns = [columns]
    projection = {**dict.fromkeys(columns, 1), **({} if "_id" in columns else {"_id": 0})}
    for document in collection.find(filter, projection):
        values = [document.get(column) for column in columns]
        yield values[0] if len(values) == 1 else values
