"""Rejected records as a CSV file that a person corrects, and back.

Records of columns have a cell for each; any other is in the column `record`, a string as it is
and whatever else as JSON. What was not touched comes back as it was, down to its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from bson import json_util

from rocketjob.model.types import decode_any, encode_any
from rocketjob.store.packing import OPTIONS
from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.io.tables import input_table, parses
from rocketjob_plugins.batch.streams import ReadKeywords, StreamError
from rocketjob_plugins.batch.streams.texts import text_of, writable
from rocketjob_plugins.batch.tabular import Csv, Tabular
from rocketjob_plugins.batch.tabular.beginnings import other_separator

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

LARGEST = 10**18 - 1
ROW, ERROR, RECORD = "_row", "_error", "record"
JSON = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED,
    tz_aware=OPTIONS.tz_aware,
    tzinfo=OPTIONS.tzinfo,
    uuid_representation=OPTIONS.uuid_representation,
)


class RejectFile:
    """How the records of a job are written and read.

    Args:
        reasons: whether the column for the error is written.

    Attributes:
        columns: those of the input; only `record` where it has none.
        row_name, error_name: the columns for number and error; with more underscores in front than
            any of the input's, such as those of a file of rejects.
    """

    def __init__(self, job: BatchModel, reasons: bool = True) -> None:
        self._has_reasons = reasons
        category = job.input_category_for("main")
        self._table: Tabular | None = input_table(category) if parses(category) else None
        columns = self._table.names if self._table else None
        self.columns: list[str] = list(columns or [RECORD])
        self.row_name, self.error_name = (self._free(name) for name in (ROW, ERROR))
        self._is_whole = not columns
        self._mode = category.mode
        self._csv = Csv({})

    def _free(self, name: str) -> str:
        return name if name not in self.columns else self._free(f"_{name}")

    # --- writing -----------------------------------------------------------------------------

    def header(self) -> str:
        return self._csv.render([*self.columns, self.row_name, *self._reason(self.error_name)])

    def line(self, number: int, record: Any, error: str) -> str:
        return self._csv.render([*self.cells(record), number, *self._reason(writable(error))])

    def _reason(self, text: str) -> list[str]:
        return [text] if self._has_reasons else []

    def cells(self, record: Any) -> list[str]:
        """Return the cells of a record; one that cannot be parsed is put in the first column."""
        if self._is_whole:
            return [_whole(record)]
        try:
            cells = [_cell(value) for value in self._values(record)]
        except StreamError:
            cells = [_whole(record)]
        return cells + [""] * (len(self.columns) - len(cells))

    def _values(self, record: Any) -> list[Any]:
        """Return a record's values in the order of the columns.

        Raises:
            StreamError: it is not a row, as the worker was told.
        """
        assert self._table is not None
        row = self._table.parse(record)
        if isinstance(record, str) and self._table.has_header and row is not None:
            return list(self._table.parse_lists([record])[0])  # also what is left out
        if isinstance(row, Mapping):
            return [row.get(column) for column in self.columns]
        return list(row or ())

    # --- reading -----------------------------------------------------------------------------

    def rows(
        self, source: Any, separator: str, reading: ReadKeywords
    ) -> Iterator[tuple[int, int, list[str]]]:
        """Yield line, row number and cells of the rows of a file.

        Raises:
            StreamError: it is not as it was written, and where.
        """
        csv, names = Csv({"separator": separator}), list[str]()
        if reading.get("encode_cleaner") is None:  # what was written may hold NUL bytes
            reading = {**reading, "encode_cleaner": lambda line: line}
        with streams.open_lines(source, **reading, quoted=csv.dialect) as lines:
            line = 1
            for text in lines:
                try:
                    if not names:
                        names = self._header(text, csv)
                    elif values := csv.parse(text):  # else it is a blank line
                        row = _row(names, values)
                        number = _row_number(row[self.row_name], self.row_name)
                        yield line, number, [row[name] for name in self.columns]
                except StreamError as error:
                    raise StreamError(
                        error.problem, file=lines.blocks.name, line=line, column=error.column
                    ) from None
                line += 1 + text.count(lines.blocks.delimiter or "\n")
            if not names:
                raise StreamError(f"is empty: {_HOW}", file=lines.blocks.name)

    def _header(self, text: str, csv: Csv) -> list[str]:
        names, expected = csv.parse(text), [self.row_name, *self.columns]
        missing = [name for name in expected if name not in names]
        other = other_separator(text, csv.separator, csv.dialect, False) if missing else None
        if other is not None:
            raise StreamError(
                f"the header is separated by {other!r} and not by {csv.separator!r}: pass "
                f"separator={other!r}"
            )
        if missing:
            raise StreamError(f"the file has no column {missing[0]}: {_HOW}", column=missing[0])
        twice = next((name for name in expected if names.count(name) > 1), None)
        if twice is not None:
            raise StreamError(f"the file has the column {twice} twice: {_HOW}", column=twice)
        return names

    def record(self, cells: list[str], original: Any) -> Any:
        """Return a corrected record as the input has its records; what is as it was stays that."""
        before = self.cells(original)
        if cells == before:
            return original
        if self._is_whole:
            return cells[0] if isinstance(original, str) else _from_json(cells[0])
        assert self._table is not None
        values = self._corrected(cells, before, original)
        row = dict(zip(self.columns, values, strict=True))
        kept = {name: row[name] for name in self._table.kept or ()}
        if self._mode == "array" or isinstance(original, list | tuple):
            return list(kept.values())
        if self._mode == "hash" or isinstance(original, Mapping):
            return kept
        return self._table.render(values if self._table.has_header else row)

    def _corrected(self, cells: list[str], before: list[str], original: Any) -> list[Any]:
        """Return the values of cells; those that were not touched keep their type."""
        if isinstance(original, str):
            return list(cells)
        try:
            values = self._values(original)
        except StreamError:
            return list(cells)
        triples = zip_longest(values, cells, before)
        return [value if cell == text else cell for value, cell, text in triples]


_HOW = (
    "write it with download_rejects, correct the records, and leave its columns and the numbers in "
    f"{ROW} as they are"
)


def _row(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    count = len(names)
    if len(values) != count:
        column = names[len(values)] if len(values) < count else count + 1
        had = "1 value" if len(values) == 1 else f"{len(values)} values"
        raise StreamError(f"has {had}, and there are {count} columns", column=column)
    return dict(zip(names, values, strict=True))


def checked_number(number: int, column: str) -> int:
    """Return a number of a record, unless no store has such numbers."""
    if abs(number) > LARGEST:
        raise StreamError(f"must be a number of at most 18 digits: {_HOW}", column=column)
    return number


def _row_number(text: str, column: str) -> int:
    try:
        return checked_number(int(text), column)
    except ValueError:
        raise StreamError(f"must be a number, not {text!r}: {_HOW}", column=column) from None


def _cell(value: Any) -> str:
    try:
        return writable(text_of(value))
    except StreamError:
        return writable(_as_json(value))


def _whole(record: Any) -> str:
    return writable(record if isinstance(record, str) else _as_json(record))


def _as_json(record: Any) -> str:
    return json_util.dumps(encode_any(record), json_options=JSON, ensure_ascii=False)


def _from_json(text: str) -> Any:
    try:
        return decode_any(json_util.loads(text, json_options=JSON))
    except (ValueError, TypeError):
        raise StreamError(
            "must be JSON, as it was: put a string in double quotes", column=RECORD
        ) from None
