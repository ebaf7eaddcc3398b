"""Download: an output, in the order of the input, slice by slice."""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.category import OutputCategory
from rocketjob_plugins.batch.io.file_rows import FileRows
from rocketjob_plugins.batch.io.meanwhile import Kept
from rocketjob_plugins.batch.io.rows import KeptRows, keeps_rows, rows_of
from rocketjob_plugins.batch.io.tables import (
    asked_for,
    check_target_name,
    header_of,
    is_one_line,
)
from rocketjob_plugins.batch.slices import OutputSlices
from rocketjob_plugins.batch.streams.file_formats import lines_of
from rocketjob_plugins.batch.streams.known import chosen_streams, file_formats, kind_of
from rocketjob_plugins.batch.streams.stream import HEAD_BYTES
from rocketjob_plugins.batch.streams.texts import check_line, line_of

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel
    from rocketjob_plugins.batch.slice import Slice


class _SlicesToWrite(OutputSlices):
    """The slices of an output that is written to a file, which must be all of them."""

    def __init__(
        self, job: BatchModel, category: OutputCategory, progress: Callable[[int], None] | None
    ) -> None:
        super().__init__(job.id, category, job.type_name())
        self._kept, self._progress = Kept(job), progress

    def __iter__(self) -> Iterator[Slice]:
        count = 0
        for slice_ in super().__iter__():
            yield slice_
            count += slice_.size
            if self._progress is not None:
                self._progress(count)
        self._kept.check()


def check_complete(job: BatchModel) -> None:
    # After the last slice, in the callbacks after the batch, the output is whole.
    if _is_running(job) and (job.record_count is None or job.input.count()):
        raise RuntimeError(f"Cannot download incomplete job: {job!r}. Wait for it: job.wait()")


def _is_running(job: BatchModel) -> bool:
    """Return whether it runs; who has just saved it still has it as queued."""
    if job.is_running or job.is_new:
        return job.is_running
    running = {"_id": job.id, "state": "running"}
    return job.collection().find_one(running, {"_id": 1}) is not None


def records(job: BatchModel, category: str | OutputCategory) -> Iterator[Any]:
    """Yield the records of an output."""
    check_complete(job)
    output = job.output_category_for(category)
    slices = job.output_for(output)
    if keeps_rows(output):
        yield from rows_of(slices)
        return
    for slice_ in slices:
        yield from slice_.records


def download(
    job: BatchModel,
    target: Any,
    category: str | OutputCategory,
    header_line: str | None,
    stream_names: Sequence[str] | None,
    pgp_recipients: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write an output; see `Batch.download`."""
    check_complete(job)
    output = job.output_category_for(category)
    target = target if target is not None else output.file_name
    if target is None:
        raise ValueError(
            f"download: give a file, or set the file_name of the output category {output.name}"
        )
    before, slices = output.file_name, _SlicesToWrite(job, output, progress)
    if isinstance(target, str | PathLike):
        output.file_name = str(target)  # it decides the format, if that is auto
    try:
        format = _format_of_rows(output, before) if keeps_rows(output) else None
        file_format = _file_format(output, target, stream_names, format)
        header_line = _one_header(header_line, file_format or format or output.format)
        check_target_name(output, target, format)
        if file_format is not None:
            rows = FileRows(slices, header_line, format)
            return rows.write(target, file_format, stream_names, pgp_recipients)
        stored = None
        if slices.serializer.whole:
            _check_format(output, before)
            stored, stream_names = _without_stored(slices, target, stream_names)
        with streams.open_writer(
            target, streams=stream_names, pgp_recipients=pgp_recipients
        ) as writer:
            if format is not None:
                return _write_rows(slices, writer, header_line, format)
            header = header_line if header_line is not None else _header(slices, writer.name)
            if slices.serializer.whole:
                return _write_whole(slices, writer, header, stored)
            if header is not None:
                writer.write_lines([header])
            return _write(slices, writer)
    except BaseException:
        output.file_name = before
        raise


def _file_format(
    category: OutputCategory, target: Any, stream_names: Sequence[str] | None, format: str | None
) -> type[streams.FileFormat] | None:
    """Return what writes the target, if that is to be no text."""
    named = file_formats().get(format or category.format or "")
    if named is not None and lines_of(named) is None:
        return named
    name = None if hasattr(target, "write") else str(target)
    chosen = chosen_streams(name, stream_names)
    return file_formats().get(chosen[0]) if chosen else None


def _one_header(line: str | None, format: Any) -> str | None:
    """Return a header line that is given, without the line break at its end."""
    if line is None:
        return None
    named = getattr(format, "name", format)
    if named == "json" or (named != format and lines_of(format) is None):
        raise ValueError(f"header_line is given, and {named} has no header line: leave it out")
    if not isinstance(line, str):
        raise TypeError(f"header_line must be a string, not {type(line).__name__}")
    line = line.removesuffix("\n").removesuffix("\r")
    if not line.strip() or "\n" in line or "\r" in line:
        what = "is blank" if not line.strip() else "holds a line break"
        raise ValueError(f"header_line {what}: it must be one line, such as id,name")
    return line


def _format_of_rows(category: OutputCategory, named_before: str | None) -> str:
    """Return the format that the target asks for, else that of the category's own file name."""
    return asked_for(category.file_name) or asked_for(named_before) or "csv"


def _write_rows(
    slices: OutputSlices, writer: streams.Writer, header_line: str | None, format: str
) -> int:
    """Write the rows that were kept in a format."""
    count = 0
    try:
        kept = KeptRows(slices, format)
        header = header_line if header_line is not None else kept.header()
        if header is not None:
            writer.write_lines([header])
        for lines in kept.lines():
            writer.write_lines(lines)
            count += len(lines)
    except streams.StreamError as error:
        raise error.at(file=writer.name) from None
    return count


def _check_format(category: OutputCategory, written_as: str | None) -> None:
    """Refuse another format than that in which the lines of an output were written already."""
    wanted, had = asked_for(category.file_name), asked_for(written_as) or "csv"
    if category.format == "auto" and wanted not in (None, had):
        raise streams.StreamError(
            f"is {wanted}, and with the serializer {category.serializer} the rows were written as "
            f"{had}: set the file_name of the output category before the job runs",
            file=category.file_name,
        )


def _write(slices: OutputSlices, writer: streams.Writer) -> int:
    count, category = 0, slices.category
    single = isinstance(category, OutputCategory) and is_one_line(category)
    for slice_ in slices:
        lines = slice_.lines()
        if lines is None:
            records = enumerate(slice_.records, count + 1)
            writer.write_lines([_line(each, number, single, writer) for number, each in records])
        else:
            writer.write(lines + "\n")
        count += slice_.size
    return count


def _line(record: Any, number: int, single: bool, writer: streams.Writer) -> str:
    """Return a record as a line; of an output without a format it may be of any type."""
    try:
        line = line_of(record)
        return check_line(line) if single else line
    except streams.StreamError as error:
        raise streams.StreamError(f"row {number}: {error.problem}", file=writer.name) from None


def _header(slices: OutputSlices, file: str) -> str | None:
    try:
        return header_of(slices.category)  # type: ignore[arg-type]
    except streams.StreamError as error:
        if slices.category.columns is not None:
            raise error.at(file=file) from None
        if slices.first() is None:  # no row has said what the columns are, and none is missed
            return None
        problem = f'{error.problem}, or pass header_line="id,name" for what is processed already'
        raise streams.StreamError(problem, file=file) from None


def _without_stored(
    slices: OutputSlices, target: Any, given: Sequence[str] | None
) -> tuple[str | None, list[str] | None]:
    """Return how the slices are packed if the file is to be, and by what else it is written.

    A file object gets them as they are, if nobody says how.
    """
    stored = _stored_as(slices)
    if given is None and hasattr(target, "write"):
        return stored, None
    chosen = chosen_streams(None if hasattr(target, "write") else str(target), given)
    return (stored, chosen[1:]) if stored and chosen[:1] == [stored] else (None, chosen)


def _stored_as(slices: OutputSlices) -> str | None:
    """Return the stream in which slices are stored that are files themselves."""
    first = slices.first()
    return "bz2" if first is None else kind_of(first.records[0][:HEAD_BYTES])[1]


def _write_whole(
    slices: OutputSlices, writer: streams.Writer, header: str | None, stored: str | None
) -> int:
    """Write slices that are themselves files, as they are or unpacked; return how many.

    Args:
        stored: how they are packed, if the file is to be packed so.
    """
    count = 0
    if header is not None or (
        stored and slices.first() is None
    ):  # an empty file is not a bzip2 file
        line = b"" if header is None else f"{header}\n".encode()
        writer.write(bz2.compress(line) if stored else line)
    unpack = bz2.decompress if not stored and _stored_as(slices) == "bz2" else bytes
    for slice_ in slices:
        writer.write(unpack(slice_.records[0]))
        count += 1
    return count
