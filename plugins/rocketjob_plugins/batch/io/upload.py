"""Upload: cut input into slices, with no more than a few of them in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.deprecation import moved
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.category import MODES, InputCategory
from rocketjob_plugins.batch.io import queries
from rocketjob_plugins.batch.io.headers import Header
from rocketjob_plugins.batch.io.iterables import rows_of, without_mark
from rocketjob_plugins.batch.io.job_writes import store_categories
from rocketjob_plugins.batch.io.writer import UploadWriter
from rocketjob_plugins.batch.streams import ReadKeywords, ReadOptions, StreamError
from rocketjob_plugins.batch.streams.file_formats import lines_of
from rocketjob_plugins.batch.streams.known import chosen_streams, file_formats
from rocketjob_plugins.batch.streams.options import check_keywords
from rocketjob_plugins.batch.tabular import Tabular
from rocketjob_plugins.batch.tabular.beginnings import check_declared

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

AT_ONCE = 10_000  # records of a list
__getattr__ = moved(
    __name__,
    {
        "add_to_record_count": "rocketjob_plugins.batch.io.job_writes",
        "forget_uploads": "rocketjob_plugins.batch.io.undo",
        "mongo_rows": "rocketjob_plugins.batch.io.iterables",
        "start_over": "rocketjob_plugins.batch.io.undo",
    },
)


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


def upload(job: BatchModel, source: Any, category: InputCategory, asked: Asked) -> Any:
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
        rows = without_mark(rows)
    if asked.on_first is not None:
        rows = iter(rows)
        first = next(rows, None)
        if first is not None:
            asked.on_first(first)
    return upload_records(job, rows, category, asked.progress)


def upload_records(
    job: BatchModel,
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


def upload_slice(job: BatchModel, records: list[Any], category: InputCategory) -> int:
    """Upload one slice, whatever its length."""
    with UploadWriter(job, category) as writer:
        if records:
            writer.add_slice(list(records))
    return writer.count


def upload_file(job: BatchModel, source: Any, category: InputCategory, asked: Asked) -> int:
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


def _upload_file(job: BatchModel, source: Any, category: InputCategory, asked: Asked) -> int:
    # A file object's own name says nothing of how its content is packed.
    name = asked.reading.get("file_name") or _name_of(source)
    mode = asked.stream_mode or category.mode
    if mode not in MODES:
        raise ValueError(f"stream_mode must be line, array or hash, not {mode!r}")
    former_name, header = category.file_name, Header(category, name, mode)
    category.file_name, category.slice_records = name or former_name, None
    category.mode = mode
    options = ReadOptions(
        **_as_chosen(asked.reading_of(category), category, name),
        quoted=header.table.dialect if header.table is not None else None,
        keep_width=header.table is not None and header.table.format == "fixed",
        format_options=category.format_options,
    )
    with (
        UploadWriter(job, category, asked.progress) as writer,
        streams.read_line_blocks(source, options) as blocks,
    ):
        _check_format(blocks, header.table)
        category.first_record = writer.first
        _begin(header, writer.first == 1, former_name, blocks)
        for line, lines in _after_header(blocks, header, asked.on_first):
            if not writer.count:
                store_categories(job)
            writer.extend(_in_mode(lines, header.table, mode, blocks, line))
    store_categories(job)
    return writer.count


def _begin(
    header: Header, is_first: bool, former_name: str | None, blocks: streams.LineBlocks
) -> None:
    try:
        header.begin(is_first, former_name)
    except StreamError as error:
        raise error.at(file=blocks.name) from None


def _as_chosen(reading: ReadKeywords, category: InputCategory, name: str | None) -> ReadKeywords:
    """Return how a file is to be read that is what its category says, however it is called."""
    chosen = file_formats().get(category.format or "")
    if chosen is None or lines_of(chosen) is not None:
        return reading
    names = chosen_streams(name, reading.get("streams"))
    if names and names[0] in file_formats():
        return reading
    return {**reading, "streams": [chosen.name, *names]}


def _check_format(blocks: streams.LineBlocks, table: Tabular | None) -> None:
    format = blocks.format
    if format is None or table is None:
        return
    fits = table.dialect is not None if lines_of(format) == "csv" else table.format == format.name
    if not fits:
        article = "an Excel workbook" if format.name == "xlsx" else f"a {format.name} file"
        problem = f"is {article}, which cannot be read as {table.format}: use the format "
        raise StreamError(problem + format.name, file=blocks.name)


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
    if blocks.format is not None:
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


def upload_ranges(job: BatchModel, first: int, last: int, category: InputCategory) -> int:
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


def upload_query(job: BatchModel, query: Any, session: Any, category: InputCategory) -> int:
    """Upload the rows of a relational query, streamed."""
    return upload_records(job, queries.records_of(query, session), category)
