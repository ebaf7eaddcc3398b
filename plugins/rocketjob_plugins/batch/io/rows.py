"""Rows of an output: written by the workers, or kept until it is known which format is wanted.

A record whose row the format cannot hold fails as that record. Of the format `auto` rows are kept
as JSON, and are written in the format of the file that they are downloaded to; its columns are
then all that some row has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from rocketjob_plugins.batch.category import OutputCategory
from rocketjob_plugins.batch.io.tables import asked_for, output_table
from rocketjob_plugins.batch.serializers import serializer
from rocketjob_plugins.batch.slices import OutputSlices
from rocketjob_plugins.batch.streams import StreamError, streams_of
from rocketjob_plugins.batch.streams.cells import check_cells
from rocketjob_plugins.batch.streams.texts import check_utf8, json_of
from rocketjob_plugins.batch.tabular import Tabular

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel
    from rocketjob_plugins.batch.slice import Slice


def keeps_rows(category: OutputCategory) -> bool:
    """Return whether rows are kept until they are downloaded."""
    return category.format == "auto" and not serializer(category.serializer).whole


# --- while records are processed -------------------------------------------------------------


class RowWriter:
    """Makes lines of the rows that `perform` returns for one output.

    Where nobody set the columns the first row has them, of whichever worker is first.
    """

    def __init__(self, job: BatchModel, category: OutputCategory) -> None:
        self._job, self._category = job, category
        self._write = self._writer()
        self._in_cells = is_workbook(category) and not keeps_rows(category)
        self._table: Tabular | None = None

    def __call__(self, row: Any) -> Any:
        """Return the line of a row.

        Raises:
            StreamError: the format cannot hold it; with the record and the column.
        """
        try:
            line = self._write(row)
            if self._in_cells:
                # The columns may be those of the first row, so that this is late enough.
                self._table = self._table or output_table(self._category)
                _check_cells(line, self._table)
        except StreamError as error:
            raise error.at(record=self._job.record_number) from None
        return line

    def _writer(self) -> Callable[[Any], Any]:
        if keeps_rows(self._category):
            return _checked_json(self._category)
        table = output_table(self._category)
        if not table.has_header:
            return table.render
        if table.columns is None:
            return self._first
        return self._of_learned() if self._category.columns_learned else table.render

    def _first(self, row: Any) -> Any:
        """Write rows as long as the columns are not known."""
        if isinstance(row, Mapping):
            _learn_columns(self._job, self._category, row)
            self._write = self._of_learned()
            return self._write(row)
        return output_table(self._category).render(row)

    def _of_learned(self) -> Callable[[Any], Any]:
        table = output_table(self._category)
        known = frozenset(table.columns or ())

        def write(row: Any) -> Any:
            is_dict = row.__class__ is dict or isinstance(row, Mapping)  # the first is quick to see
            if is_dict and not known.issuperset(row):
                name = next(name for name in row if name not in known)
                raise StreamError(
                    f"has the column {name}, and the first row had {', '.join(sorted(known))}: set "
                    'the columns of the output category, or its format to "auto"',
                    column=str(name),
                )
            return table.render(row)

        return write


def _checked_json(category: OutputCategory) -> Callable[[Any], Any]:
    """Return what keeps a row, if the format that the file name asks for can hold it."""
    wanted, in_cells = asked_for(category.file_name), is_workbook(category)

    def write(row: Any) -> str:
        line = check_utf8(json_of(row))
        if wanted is not None and wanted != "json":
            columns = list(row) if isinstance(row, Mapping) else None
            table = output_table(_with(category, columns), wanted)
            text = table.render(json.loads(line))
            if in_cells:
                _check_cells(text, table)
        return line

    return write


def is_workbook(category: OutputCategory) -> bool:
    """Return whether an output is to be an Excel workbook."""
    return streams_of(category.file_name)[:1] == ["xlsx"]


def _check_cells(line: str, table: Tabular) -> None:
    """Raise StreamError if a value of a line does not fit in a cell."""
    (row,) = table.parse_lists([line])
    check_cells(row, table.names or ())


def _with(category: OutputCategory, columns: list[str] | None) -> OutputCategory:
    return category if category.columns is not None else attrs.evolve(category, columns=columns)


def _learn_columns(job: BatchModel, category: OutputCategory, row: Mapping[str, Any]) -> None:
    """Take the columns from a row; the first worker to store them decides for all."""
    columns, index = list(row), job.output_categories.index(category)
    key = f"output_categories.{index}"
    if not job.is_new:
        change = {"$set": {f"{key}.columns": columns, f"{key}.columns_learned": True}}
        collection = job.collection()
        collection.update_one({"_id": job.id, f"{key}.columns": None}, change)
        stored = collection.find_one({"_id": job.id}, {"output_categories": 1}) or {}
        columns = stored["output_categories"][index]["columns"]
    category.columns, category.columns_learned = columns, True


# --- when they are downloaded ----------------------------------------------------------------


class KeptRows:
    """The rows of an output that were kept, as lines of a format."""

    def __init__(self, slices: OutputSlices, format: str) -> None:
        assert isinstance(slices.category, OutputCategory)
        self._slices = slices
        columns = None if format == "json" else self._columns()
        self._table: Tabular = output_table(_with(slices.category, columns), format)

    def _columns(self) -> list[str] | None:
        """Return every column that some row has, in the order in which they come."""
        names: dict[str, None] = {}
        category = self._slices.category
        if isinstance(category, OutputCategory) and category.columns is None:
            # By `where`, which tells nobody of its progress: this is before anything is written.
            for row in rows_of(self._slices.where({})):
                if isinstance(row, Mapping):
                    names.update(dict.fromkeys(row))
        return list(names) or None

    def header(self) -> str | None:
        """Return the header line; None where the format has none, or there are no rows."""
        if self._table.columns is None and self._slices.first() is None:
            return None
        return self._table.render_header()

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines, slice by slice.

        Raises:
            StreamError: the format cannot hold a row; with its number in the output.
        """
        number = 0
        for slice_ in self._slices:
            lines = slice_.records
            if self._table.format != "json":
                lines = [self._line(number + n, line) for n, line in enumerate(lines, 1)]
            number += len(lines)
            yield lines

    def _line(self, number: int, line: str) -> str:
        try:
            return self._table.render(json.loads(line))
        except StreamError as error:
            raise StreamError(f"row {number}: {error.problem}", column=error.column) from None


def rows_of(slices: Iterable[Slice]) -> Iterator[Any]:
    """Yield the rows of an output that were kept."""
    for slice_ in slices:
        for line in slice_.records:
            yield json.loads(line)
