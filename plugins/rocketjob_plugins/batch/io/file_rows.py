"""The rows of an output, written as a file that is no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from rocketjob_plugins.batch.category import OutputCategory
from rocketjob_plugins.batch.io.rows import KeptRows, keeps_rows
from rocketjob_plugins.batch.io.rows import rows_of as kept_rows_of
from rocketjob_plugins.batch.io.tables import header_of, output_table
from rocketjob_plugins.batch.slices import OutputSlices
from rocketjob_plugins.batch.streams import CSV, FileFormat, StreamError, write_file
from rocketjob_plugins.batch.streams.file_formats import lines_of
from rocketjob_plugins.batch.streams.writer import without_format
from rocketjob_plugins.batch.tabular.file_rows import own_options

ROWS = 1000  # in one block, of those that were kept as JSON


class FileRows:
    """What `download` writes as a workbook, or as whatever a plugin brings.

    Args:
        slices: the output.
        header_line: instead of the columns' names.
        kept_as: the format in which rows are wanted that were kept; None where they were not.
    """

    def __init__(self, slices: OutputSlices, header_line: str | None, kept_as: str | None) -> None:
        assert isinstance(slices.category, OutputCategory)
        self._slices, self._category = slices, slices.category
        self._header_line, self._kept_as = header_line, kept_as
        self._count = 0

    def write(
        self,
        target: Any,
        format: type[FileFormat],
        streams: Sequence[str] | None,
        pgp_recipients: Sequence[str],
    ) -> int:
        """Write the rows; return how many there are.

        Raises:
            StreamError: the output has no such rows, or they cannot be written.
        """
        self._check(format, target)
        as_lines = lines_of(format) is not None
        table = output_table(self._category, self._kept_as) if as_lines else None
        write_file(
            target,
            self._lines() if as_lines else self._rows(),
            format,
            options=own_options(self._category.format_options),
            dialect=(table and table.dialect) or CSV,
            streams=None if streams is None else without_format(list(streams)),
            pgp_recipients=pgp_recipients,
        )
        return self._count

    def _check(self, format: type[FileFormat], target: Any) -> None:
        category, problem = self._category, None
        if self._slices.serializer.whole:
            problem = f"with the serializer {category.serializer} the output is lines already"
        elif not category.is_tabular:
            problem = "the output has no format, and so no rows"
        elif lines_of(format) is not None and output_table(category, self._kept_as).dialect is None:
            problem = f"the output has rows of {self._kept_as or category.format}"
        if problem is not None:
            cure = f'set the format of the output category to "auto" or "{format.name}"'
            file = str(target) if not hasattr(target, "write") else None
            raise StreamError(f"cannot be {format.name}: {problem}: {cure}", file=file)

    def _rows(self) -> Iterator[list[Any]]:
        if keeps_rows(self._category):
            yield from self._counted(_in_blocks(kept_rows_of(self._slices)))
        else:
            yield from self._counted(slice_.records for slice_ in self._slices)

    def _lines(self) -> Iterator[list[str]]:
        kept = KeptRows(self._slices, self._kept_as or "csv") if self._kept_as else None
        header = self._header_line or (kept.header() if kept else self._header())
        if header is not None:
            yield [header]
        yield from self._counted(kept.lines() if kept else (s.records for s in self._slices))

    def _header(self) -> str | None:
        if self._category.columns is None and self._slices.first() is None:
            return None
        return header_of(self._category)

    def _counted(self, blocks: Any) -> Iterator[list[Any]]:
        for block in blocks:
            self._count += len(block)
            yield block


def _in_blocks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while block := list(islice(rows, ROWS)):
        yield block
