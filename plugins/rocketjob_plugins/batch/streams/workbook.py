"""Write an Excel workbook, row by row."""

from __future__ import annotations

import csv
import importlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rocketjob_plugins.batch.streams.cells import LONGEST_TEXT, MOST_ROWS, cell_text, check_cells
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.names import shown
from rocketjob_plugins.batch.streams.options import Dialect

CHUNK = 256 * 1024


def library() -> Any:
    """Return openpyxl.

    Raises:
        StreamError: it is not installed.
    """
    try:
        return importlib.import_module("openpyxl")
    except ImportError:
        raise StreamError("Excel needs a library: pip install 'rocketjob[excel]'") from None


def write_workbook(
    lines: Iterable[str], dialect: Dialect, name: str, write: Callable[[bytes], Any]
) -> None:
    """Write lines of csv as the only sheet of a workbook.

    Raises:
        StreamError: it cannot be written; the message names the row and the column.
    """
    book = library().Workbook(write_only=True)  # its rows go to a temporary file
    sheet = _Sheet(book.create_sheet(), name)
    with tempfile.TemporaryFile() as file:
        try:
            for row in _rows(lines, dialect, name):
                sheet.append(row)
        finally:
            book.save(file)  # also when a row failed: it removes its temporary files
        file.seek(0)
        while data := file.read(CHUNK):
            write(data)


def _rows(lines: Iterable[str], dialect: Dialect, target: str) -> Iterator[list[str]]:
    marks: dict[str, Any] = {"delimiter": dialect.separator, "quotechar": dialect.quote}
    reader = csv.reader(lines, **marks)
    try:
        yield from reader
    except csv.Error as error:
        too_long = f"a value is longer than the {LONGEST_TEXT:,} characters that Excel holds"
        problem = too_long if "field limit" in str(error) else str(error)
        raise StreamError(problem, file=shown(target), line=reader.line_num) from None


class _Sheet:
    def __init__(self, sheet: Any, target: str) -> None:
        self._sheet, self._target = sheet, target
        self._make_cell: Any = importlib.import_module("openpyxl.cell").WriteOnlyCell
        self._number = 0
        self._names: list[str] = []

    def append(self, row: list[str]) -> None:
        self._number += 1
        self._names = self._names or row
        if self._number > MOST_ROWS:
            raise self._error(f"Excel holds {MOST_ROWS:,} rows, and there are more: write .csv")
        try:
            check_cells(row, self._names)
            self._sheet.append([self._cell(text) for text in row])
        except StreamError as error:
            raise error.at(file=shown(self._target), line=self._number) from None
        except Exception as error:  # such as half of a surrogate pair
            raise self._error(f"row {self._number} cannot be written: {error}") from error

    def _cell(self, text: str) -> Any:
        text = cell_text(text)
        return self._as_text(text) if text[:1] in ("=", "#") else text

    def _as_text(self, text: str) -> Any:
        """Return a cell of text, for text that would be taken for a formula or an error."""
        cell: Any = self._make_cell(self._sheet, text)
        cell.data_type = "s"
        cell.quotePrefix = True  # otherwise it becomes a formula when somebody edits it
        return cell

    def _error(self, problem: str) -> StreamError:
        return StreamError(problem, file=shown(self._target), line=self._number)
