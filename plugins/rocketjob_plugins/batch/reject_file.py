"""Rejected records as a CSV file that a person mends, and back.

Records of columns have a cell for each; any other stands in the column `record`, a text as it is
and whatever else as JSON. What was not touched comes back as it was, down to its type.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from bson import json_util

from rocketjob.model.types import decode_any, encode_any
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.tables import input_table
from rocketjob_plugins.batch.tabular import REJECTED, Csv, Tabular
from rocketjob_plugins.batch.texts import text_of

if TYPE_CHECKING:
    from rocketjob_plugins.batch.batch import Batch

ROW, ERROR, RECORD = "_row", "_error", "record"
JSON = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=True)


class RejectFile:
    """How the records of a job are written and read.

    Attributes:
        columns: those of the input; only `record` where it has none.
    """

    def __init__(self, job: Batch) -> None:
        category = job.input_category_for("main")
        self._table: Tabular | None = input_table(category) if category.is_tabular else None
        columns = self._table.names if self._table else None
        self.columns: list[str] = list(columns or [RECORD])
        self._is_whole = not columns
        self._mode = category.mode

    # --- writing -----------------------------------------------------------------------------

    def header(self) -> str:
        return _csv_line([*self.columns, ROW, ERROR])

    def line(self, number: int, record: Any, error: str) -> str:
        return _csv_line([*self.cells(record), number, error])

    def cells(self, record: Any) -> list[str]:
        """Return the texts of a record; one that cannot be parsed is put in the first column."""
        if self._is_whole:
            return [record if isinstance(record, str) else _as_json(record)]
        try:
            values = [text_of(value) for value in self._values(record)]
        except StreamError:
            values = [record]
        return values + [""] * (len(self.columns) - len(values))

    def _values(self, record: Any) -> list[Any]:
        if isinstance(record, str):
            assert self._table is not None
            row = self._table.parse(record)  # raises what the worker was told
            if not self._table.has_header or row is None:
                return self._values(row)
            record = self._table.parse_lists([record])[0]  # also the columns that are left out
        if isinstance(record, Mapping):
            return [record.get(column) for column in self.columns]
        return list(record or ())[: len(self.columns)]

    # --- reading -----------------------------------------------------------------------------

    def rows(self, source: Any) -> Iterator[tuple[int, int, list[str]]]:
        """Yield line, `_row` and cells of the rows of a file.

        Raises:
            StreamError: it is not as it was written, and where.
        """
        parse, names = Csv({}).parse, list[str]()
        with streams.open_lines(source, quoted=True) as lines:
            line = 1
            for text in lines:
                try:
                    values = parse(text)
                    if not names:
                        self._check_columns(values)
                        names = values
                    elif values:  # else it is a blank line
                        row = _row(names, values)
                        yield line, _row_number(row[ROW]), [row[name] for name in self.columns]
                except StreamError as error:
                    raise StreamError(
                        error.problem, file=lines.blocks.name, line=line, column=error.column
                    ) from None
                line += 1 + text.count(lines.blocks.delimiter or "\n")
            if not names:
                raise StreamError(f"is empty: {_HOW}", file=lines.blocks.name)

    def _check_columns(self, names: Sequence[str]) -> None:
        missing = [name for name in (ROW, *self.columns) if name not in names]
        if missing:
            raise StreamError(f"the file has no column {missing[0]}: {_HOW}", column=missing[0])
        twice = next((name for name in (ROW, *self.columns) if names.count(name) > 1), None)
        if twice is not None:
            raise StreamError(f"the file has the column {twice} twice: {_HOW}", column=twice)

    def record(self, cells: list[str], original: Any) -> Any:
        """Return a mended record as the input has its records; what is as it was stays that."""
        before = self.cells(original)
        if cells == before:
            return original
        if self._is_whole:
            return cells[0] if isinstance(original, str) else _from_json(cells[0])
        values: list[Any] = list(cells)
        if not isinstance(original, str) and original is not None:
            triples = zip_longest(self._values(original), cells, before)
            values = [value if cell == text else cell for value, cell, text in triples]
        if self._mode == "array" or isinstance(original, list | tuple):
            return values
        row = dict(zip(self.columns, values, strict=True))
        if self._mode == "hash" or isinstance(original, Mapping):
            return {name: value for name, value in row.items() if not name.startswith(REJECTED)}
        assert self._table is not None
        return self._table.render(values if self._table.has_header else row)


_HOW = (
    "write it with download_rejects, mend the records, and leave its columns and the numbers in "
    f"{ROW} as they are"
)


def _row(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    count = len(names)
    if len(values) != count:
        column = names[len(values)] if len(values) < count else count + 1
        had = "1 value" if len(values) == 1 else f"{len(values)} values"
        raise StreamError(f"has {had}, and there are {count} columns", column=column)
    return dict(zip(names, values, strict=True))


def _row_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise StreamError(f"must be a number, not {text!r}: {_HOW}", column=ROW) from None


def _as_json(record: Any) -> str:
    return json_util.dumps(encode_any(record), json_options=JSON, ensure_ascii=False)


def _from_json(text: str) -> Any:
    try:
        return decode_any(json_util.loads(text, json_options=JSON))
    except (ValueError, TypeError):
        raise StreamError(
            "must be JSON, as it was: a text stands in double quotes", column=RECORD
        ) from None


def _csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)  # else a line break is not quoted
    return text.getvalue()[:-1]
