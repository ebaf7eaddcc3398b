"""Excel workbooks as lines of CSV, row by row.

Formulas give the value that was last calculated, dates are ISO 8601, an empty cell is an empty
value. Rows that are empty at the end of a sheet are left out.
"""

from __future__ import annotations

import csv
import importlib
import re
import types
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import repeat
from typing import IO, Any, cast

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.inflate import DAMAGED, Limits, seekable, wrong_content
from rocketjob_plugins.batch.streams.options import CSV, Dialect
from rocketjob_plugins.batch.streams.source import Reader

ROWS = 1000  # in one block
_NO_TIME = re.compile(r"\[[^]]*\]|\"[^\"]*\"|\\.")  # colours and quoted text of a number format


def row_blocks(
    below: Reader,
    name: str,
    options: Mapping[str, Any] | None,
    limits: Limits,
    dialect: Dialect = CSV,
) -> Iterator[list[str]]:
    """Yield lists of CSV lines, one for each row of a sheet.

    Args:
        options: `sheet` is a name, or a number counted from 0; without it the first.
        dialect: of the lines; it must be the one by which they are parsed.
    """
    file, copy = seekable(below, name, limits)
    try:
        head = file.read(16)
        file.seek(0)
        if not head.startswith(b"PK\x03\x04"):
            raise wrong_content(name, "xlsx", head)
        yield from _blocks(_Workbook(file, name, limits, (options or {}).get("sheet")), dialect)
    finally:
        if copy is not None:
            copy.close()


class _Workbook:
    def __init__(self, file: IO[bytes], name: str, limits: Limits, sheet: Any) -> None:
        self.name = name
        self._file = file
        formulas = self._inspect(limits)
        values = self._load(data_only=True)
        self.sheet = self._sheet(values, sheet)
        self.formulas = self._sheet(self._load(data_only=False), sheet) if formulas else None

    def _inspect(self, limits: Limits) -> bool:
        """Check sizes against bombs; tell whether there are formulas, which cost a second pass."""
        try:
            with zipfile.ZipFile(self._file) as archive:
                for member in archive.infolist():
                    limits.check(self.name, member.compress_size, member.file_size)
                return any(
                    _has_formula(archive, each)
                    for each in archive.namelist()
                    if each.startswith("xl/worksheets/") and each.endswith(".xml")
                )
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise StreamError(DAMAGED, file=self.name) from error

    def _load(self, data_only: bool) -> Any:
        try:
            openpyxl: Any = importlib.import_module("openpyxl")
        except ImportError:
            raise StreamError(
                "Excel workbooks need a library: pip install 'rocketjob[excel]'", file=self.name
            ) from None
        self._file.seek(0)
        try:
            return openpyxl.load_workbook(
                self._file, read_only=True, data_only=data_only, keep_links=False
            )
        except Exception as error:  # whatever XML and zip raise
            raise StreamError(
                "is no Excel workbook, or a damaged one: save it as .xlsx again", file=self.name
            ) from error

    def _sheet(self, workbook: Any, chosen: Any) -> Any:
        sheets = workbook.worksheets
        names = [each.title for each in sheets]
        if chosen is None:
            chosen = 0
        if isinstance(chosen, int) and 0 <= chosen < len(sheets):
            return sheets[chosen]
        if chosen in names:
            return sheets[names.index(chosen)]
        known = ", ".join(map(repr, names)) or "none"
        raise StreamError(f"has no sheet {chosen!r}; it has {known}", file=self.name)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the texts of each row, with its number."""
        number = 0
        try:
            for number, (cells, source) in enumerate(self._pairs(), 1):
                yield number, [self._text(*pair) for pair in _beside(cells, source)]
        except StreamError:
            raise
        except Exception as error:
            raise StreamError(
                "is damaged: save it as .xlsx again", file=self.name, line=number + 1
            ) from error

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        """Pair the rows of values with those of formulas, if there are any."""
        self.sheet.reset_dimensions()  # some programs write wrong ones
        if self.formulas is None:
            return _beside(self.sheet.iter_rows(), None)
        self.formulas.reset_dimensions()
        return _beside(self.sheet.iter_rows(), self.formulas.iter_rows())

    def _text(self, cell: Any, source: Any) -> str:
        value = cell.value
        if value is None and source is not None and source.data_type == "f":
            raise StreamError(
                f"the formula {source.value!r} has no value: open the workbook in a spreadsheet "
                "program and save it",
                file=self.name,
                line=cell.row if hasattr(cell, "row") else source.row,
                column=source.coordinate,
            )
        return value if value.__class__ is str else text_of(value, cell)


def _beside(these: Any, others: Any) -> Iterator[tuple[Any, Any]]:
    return zip(these, repeat(None) if others is None else others, strict=False)


def text_of(value: Any, cell: Any = None) -> str:
    """Return a cell's value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        whole_day = value.time() == time() and not _shows_time(getattr(cell, "number_format", ""))
        return value.date().isoformat() if whole_day else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value)


def _shows_time(number_format: str | None) -> bool:
    return "h" in _NO_TIME.sub("", number_format or "").lower()


def _has_formula(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as file:
        end = b""
        while data := file.read(1 << 18):
            if b"<f>" in (joined := end + data) or b"<f " in joined:
                return True
            end = data[-2:]
    return False


def _line_writer(dialect: Dialect) -> Callable[[list[str]], str]:
    # The line terminator decides what is quoted: both line breaks have to be.
    target: Any = types.SimpleNamespace(write=lambda line: line[:-2])
    marks: dict[str, Any] = {"delimiter": dialect.separator, "quotechar": dialect.quote}
    write: Any = csv.writer(target, lineterminator="\r\n", **marks).writerow
    return cast("Callable[[list[str]], str]", write)


def _blocks(workbook: _Workbook, dialect: Dialect) -> Iterator[list[str]]:
    write = _line_writer(dialect)
    block: list[str] = []
    empty = 0
    width = 0
    for _, row in workbook.rows():
        while row and not row[-1] and len(row) > width:
            row.pop()  # cells that only have a format
        width = width or len(row)  # the first row's
        if not any(row):
            empty += 1
            continue
        block += [""] * empty
        empty = 0
        block.append(write(row + [""] * (width - len(row))))
        if len(block) >= ROWS:
            yield block
            block = []
    if block:
        yield block
