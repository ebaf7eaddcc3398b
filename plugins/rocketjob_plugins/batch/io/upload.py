"""Upload: cut input into slices, with no more than a few of them in memory."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.errors import NotFound, RocketJobError, StateConflict
from rocketjob.model.record import record_of
from rocketjob.store import Filter, Stored, atomically
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.io import tables
from rocketjob_plugins.batch.io.headers import Header
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.serializers import refused
from rocketjob_plugins.batch.slice import Slice, explained
from rocketjob_plugins.batch.slices import InputSlices
from rocketjob_plugins.batch.streams import ReadKeywords, ReadOptions, StreamError
from rocketjob_plugins.batch.streams.encodings import MARK
from rocketjob_plugins.batch.streams.options import check_keywords
from rocketjob_plugins.batch.tabular import Tabular
from rocketjob_plugins.batch.tabular.beginnings import check_declared

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel as Batch

SLICES_AT_ONCE = 20  # stored in one go ...
AT_ONCE = 10_000  # records of a list
BYTES_AT_ONCE = 4 * 1024 * 1024  # ... or about so much of them
MARKS = "uploaded"  # key of the stored job: the next record number of each category
ENDED = ["completed", "aborted"]


class UploadWriter:
    """Takes records one by one; its slices are stored while it fills.

    As a context manager it ends the upload; an exception within removes what it added. Of two
    uploads to one category at a time the one that stores later ends with `StateConflict`: they
    would give the same numbers to their records.
    """

    def __init__(
        self, job: Batch, category: InputCategory, progress: Callable[[int], None] | None = None
    ) -> None:
        self.job, self.category, self.progress = job, category, progress
        self.slices = InputSlices(job.id, category)
        self._table = tables.input_table(category) if tables.parses(category) else None
        self._open()
        self.slices.create_indexes()
        self.mark = _mark_of(job, category)
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
        except RocketJobError:  # a key is missing, or it is too large: says what to do itself
            raise
        except Exception as error:
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
        self._advance_mark()
        self._end = self._number  # what is below it is this upload's, and no other's
        try:
            self.slices.collection.insert_many(ready)
        except Exception as error:
            if (why := explained(error, ready)) is not error:
                raise why from None  # that of a store may hold all of the records
            raise
        if self.progress is not None:
            self.progress(self.count)

    def _advance_mark(self) -> None:
        """Say in the stored job how far the numbers are given away: one upload at a time."""
        job = self.job
        if job.is_new:
            return
        key = f"{MARKS}.{self.category.name}"
        condition = {**_held(job), "state": {"$nin": ENDED}, key: self.mark}
        found = job.collection().update_one(condition, {"$set": {key: self._number}})
        if not found.matched_count:
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
            add_to_record_count(self.job, self.count)
        self._close()
        return self.count

    def undo(self) -> None:
        """Remove what was added; what other uploads added stays."""
        self._close()
        _remove(self.job, self.category, self.first, self._end)
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
        here = self.count + len(self._records) + 1
        # Ours say themselves where they happened; records are read and stored many at once.
        where = "failed" if isinstance(error, RocketJobError) else f"stopped at record {here}"
        try:
            self.undo()
            error.add_note(f"The upload {where}; what it had added is removed.")
        except Exception as lost:
            error.add_note(f"The upload {where}; what it had added could not be removed: {lost}")


def _remove(job: Batch, category: InputCategory, first: int, end: int) -> None:
    """Remove records from the input, and what was made of them if they were processed already."""
    numbers = {"_id": {"$gte": first, "$lt": end}}
    slices = InputSlices(job.id, category)

    def step(session: Any) -> None:
        slices.collection.delete_many(numbers)
        if category.name != "main" or job.is_new:
            return
        for output in (*job.output_categories, None):
            made = job.output_for(output) if output else rejects.slices_of(job)
            made.collection.delete_many(numbers)

    atomically(slices.store, step)


def _unstorable(category: InputCategory, slice_: Slice, error: Exception) -> Exception:
    """Say which record cannot be stored."""
    found = refused(category.serializer, slice_.records)
    if found is None:
        return error
    number, said = slice_.id + found[0], found[1]
    return StreamError(f"cannot be stored: {said}", file=category.file_of(number), record=number)


def _mark_of(job: Batch, category: InputCategory) -> int | None:
    if job.is_new:
        return None
    stored = job.collection().find_one({"_id": job.id}, {MARKS: 1}) or {}
    found: int | None = stored.get(MARKS, {}).get(category.name)
    return found


def _held(job: Batch) -> dict[str, Any]:
    """Return the filter for the job; in a worker only as long as it has the claim.

    Workers may begin the job while a script uploads to it: its `sub_state` may change.
    """
    return {name: value for name, value in job.write_guard().items() if name != "sub_state"}


def add_to_record_count(job: Batch, count: int) -> None:
    """Add to `record_count`, which also says that an upload has ended."""
    if job.is_new:
        job.record_count = (job.record_count or 0) + count
        return
    update = {"$inc": {"record_count": count}}
    condition = {**_held(job), "state": {"$nin": ENDED}}
    stored = job.collection().find_one_and_update(condition, update, return_document=True)
    if stored is None:
        raise StateConflict(f"{job!r} has ended or was removed while records were uploaded to it")
    job.record_count = stored["record_count"]
    record_of(job).written_apart({"record_count": job.record_count})


def store_categories(job: Batch) -> None:
    """Store what an upload found out, such as the columns, before a worker needs it."""
    if job.is_new:
        return
    changed = {k: v for k, v in record_of(job).changes(job)[0].items() if k == "input_categories"}
    if changed:
        job.collection().update_one(_held(job), {"$set": changed})
        record_of(job).written_apart(changed)


def start_over(job: Batch) -> None:
    """Note what input there is before the callbacks; a second time, remove what came since.

    Those callbacks upload: where a worker died in them they are run again from the beginning.
    """
    if job.upload_mark is None:
        writers = {each.name: InputSlices(job.id, each) for each in job.input_categories}
        first = {name: each.next_record_number() for name, each in writers.items()}
        first["main"] = max(first["main"], (job.record_count or 0) + 1)
        job.upload_mark = {"record_count": job.record_count, "first": first}
        return
    for category in job.input_categories:
        _remove(job, category, job.upload_mark["first"].get(category.name, 1), sys.maxsize)
    job.record_count = job.upload_mark["record_count"]


def forget_uploads(job: Batch) -> None:
    """Remove what failed callbacks before the batch had uploaded: a retry uploads it again."""
    if job.upload_mark is None or job.sub_state != "before" or job.state != "failed":
        return
    if not job.is_new:
        condition = {"_id": job.id, "state": "failed", "upload_mark": {"$exists": True}}
        if job.collection().find_one(condition, {"_id": 1}) is None:
            return
    start_over(job)
    job.upload_mark = None
    if not job.is_new:
        job.save(validate=False)


@attrs.frozen
class Asked:
    """What an upload is asked for.

    Attributes:
        reading: how a file is to be read.
        stream_mode: line, array or hash; None: the category's mode.
        on_first: is called with the first line, which is then no record.
        progress: is called with the number of records so far.
    """

    reading: ReadKeywords = attrs.field(factory=ReadKeywords)
    stream_mode: str | None = None
    on_first: Callable[[Any], None] | None = None
    progress: Callable[[int], None] | None = None

    def __attrs_post_init__(self) -> None:
        check_keywords(self.reading)

    def reading_of(self, category: InputCategory) -> ReadKeywords:
        """Return how a file of a category is to be read: in its encoding, if no other is given."""
        return {**self.reading, "encoding": self.reading.get("encoding") or category.encoding}

    def refuse(self, what: str, *allowed: str) -> None:
        """Raise TypeError where something is asked for that is of files only."""
        options = {**self.reading, "stream_mode": self.stream_mode, "on_first": self.on_first}
        for name, value in options.items():
            is_default = value is None or (name == "encoding" and value == "utf-8")
            if not is_default and name not in allowed:
                raise TypeError(f"upload of {what} takes no {name}: that is for files")


def upload(job: Batch, source: Any, category: InputCategory, asked: Asked) -> Any:
    """Upload from whatever was given; see `Batch.upload`."""
    if source is None:
        source = category.file_name or asked.reading.get("file_name")
    if source is None:
        asked.refuse("a writer")
        return UploadWriter(job, category, asked.progress)
    if isinstance(source, str | PathLike) or hasattr(source, "read"):
        return upload_file(job, source, category, asked)
    asked.refuse("an iterable", "on_first")
    rows = rows_of(source)
    if category.is_tabular:
        rows = _without_mark(rows)
    if asked.on_first is not None:
        rows = iter(rows)
        first = next(rows, None)
        if first is not None:
            asked.on_first(first)
    return upload_records(job, rows, category, asked.progress)


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


def _without_mark(rows: Iterable[Any]) -> Iterable[Any]:
    """Take the byte order mark off the first line, as it is where a file was read as UTF-8."""
    if isinstance(rows, list):
        marked = rows and isinstance(rows[0], str) and rows[0].startswith(MARK)
        return [rows[0].removeprefix(MARK), *rows[1:]] if marked else rows
    rest = iter(rows)
    first = list(islice(rest, 1))
    return chain(_without_mark(first), rest)


def _frame_rows(frame: Any) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), 1000):
        part = frame.iloc[start : start + 1000].astype(object)
        for values in part.where(part.notna(), None).itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))


def upload_records(
    job: Batch,
    records: Iterable[Any],
    category: InputCategory,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Upload any iterable of records."""
    category.slice_records = category.first_record = None
    with UploadWriter(job, category, progress) as writer:
        if isinstance(records, list):
            for start in range(0, len(records), AT_ONCE):
                writer.extend(records[start : start + AT_ONCE])
        else:
            for record in records:
                writer.append(record)
    store_categories(job)
    return writer.count


def upload_slice(job: Batch, records: list[Any], category: InputCategory) -> int:
    """Upload one slice, whatever its length."""
    with UploadWriter(job, category) as writer:
        if records:
            writer.add_slice(list(records))
    return writer.count


def upload_file(job: Batch, source: Any, category: InputCategory, asked: Asked) -> int:
    """Upload a file line by line, or row by row."""
    before = attrs.asdict(category, recurse=False)
    try:
        return _upload_file(job, source, category, asked)
    except BaseException:
        # The columns were those of this file: of the next one the header line is to be read.
        for setting, value in before.items():
            setattr(category, setting, value)
        with contextlib.suppress(Exception):
            store_categories(job)
        raise


def _upload_file(job: Batch, source: Any, category: InputCategory, asked: Asked) -> int:
    # A file object's own name says nothing of how its content is packed.
    name = asked.reading.get("file_name") or _name_of(source)
    mode = asked.stream_mode or category.mode
    if mode not in ("line", "array", "hash"):
        raise ValueError(f"stream_mode must be line, array or hash, not {mode!r}")
    former_name, header = category.file_name, Header(category, name, mode)
    category.file_name, category.slice_records = name or former_name, None
    category.mode = mode
    options = ReadOptions(
        **asked.reading_of(category),
        quoted=header.table.dialect if header.table is not None else None,
        keep_width=header.table is not None and header.table.format == "fixed",
        format_options=category.format_options,
    )
    with (
        UploadWriter(job, category, asked.progress) as writer,
        streams.read_line_blocks(source, options) as blocks,
    ):
        _check_workbook(blocks, header.table)
        category.first_record = writer.first
        header.begin(writer.first == 1, former_name)
        for line, lines in _after_header(blocks, header, asked.on_first):
            if not writer.count:
                store_categories(job)
            writer.extend(_in_mode(lines, header.table, mode, blocks, line))
    store_categories(job)
    return writer.count


def _check_workbook(blocks: streams.LineBlocks, table: Tabular | None) -> None:
    if blocks.streams[:1] == ["xlsx"] and table is not None and table.dialect is None:
        said = f"is an Excel workbook, which cannot be read as {table.format}: use the format xlsx"
        raise StreamError(said, file=blocks.name)


def _name_of(source: Any) -> str | None:
    if isinstance(source, str | PathLike):
        return str(source) if isinstance(source, str) else str(Path(source))
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def _after_header(
    blocks: streams.LineBlocks, header: Header, on_first: Callable[[Any], None] | None
) -> Iterator[tuple[int, list[str]]]:
    """Take the header line, and the line for `on_first`, off the first block.

    Yields:
        the number of the first of the lines in the file, and the lines.
    """
    number = 1
    for lines in blocks:
        if number == 1 and header.table is not None and on_first is None:
            skipped = _check_first(header.table, lines, blocks)
            number, lines = number + skipped, lines[skipped:]
        if lines and on_first is not None:
            on_first(lines[0])
            number += _height(lines[:1], blocks)
            lines, on_first = lines[1:], None
        if lines and header.is_wanted:
            _take_header(header, lines[0], blocks, number)
            number += _height(lines[:1], blocks)
            lines = lines[1:]
        yield number, header.lines(lines)
        if header.table is not None:
            number += _height(lines, blocks)
    header.end(blocks.name)


def _check_first(table: Tabular, lines: list[str], blocks: streams.LineBlocks) -> int:
    """Refuse what is of another form than the table's; return how many lines only say the form."""
    if blocks.streams[:1] == ["xlsx"]:
        return 0
    try:
        table.check_first(lines)
        return int(bool(lines) and check_declared(lines[0], table.separator))
    except StreamError as error:
        raise error.at(file=blocks.name, line=1) from None


def _height(lines: list[str], blocks: streams.LineBlocks) -> int:
    """Return how many lines of the file these are: in CSV one may have line breaks in it."""
    within = blocks.delimiter
    return len(lines) + ("".join(lines).count(within) if within else 0)


def _take_header(header: Header, line: str, blocks: streams.LineBlocks, number: int) -> None:
    try:
        header.take(line)
    except StreamError as error:
        raise StreamError(
            error.problem, file=blocks.name, line=number, column=error.column
        ) from None


def _in_mode(
    lines: list[str], table: Any, mode: str, blocks: streams.LineBlocks, first: int
) -> list[Any]:
    if mode == "line" or table is None:
        return lines
    try:
        rows = table.parse_many(lines)
    except StreamError as error:
        line = first + _height(lines[: (error.line or 1) - 1], blocks)
        raise StreamError(error.problem, file=blocks.name, line=line, column=error.column) from None
    if mode == "array":
        rows = [list(row.values()) if isinstance(row, Mapping) else row for row in rows]
    return [row for row in rows if row is not None]


def upload_ranges(job: Batch, first: int, last: int, category: InputCategory) -> int:
    """Upload one record `(from, to)` a slice."""
    for number in (first, last):
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"upload_integer_range takes two whole numbers, not {number!r}")
    size = category.slice_size
    category.slice_records = 1
    store_categories(job)
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
        if query._iterable_class.__name__ == "ModelIterable":
            query = query.values_list("pk", flat=True)
        rows = query.iterator(chunk_size=2000)
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
