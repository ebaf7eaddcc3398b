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
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, repeat
from typing import IO, Any, ClassVar, cast

from rocketjob_plugins.batch.streams import content
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FilePlace
from rocketjob_plugins.batch.streams.inflate import DAMAGED
from rocketjob_plugins.batch.streams.limits import Limits
from rocketjob_plugins.batch.streams.options import Dialect
from rocketjob_plugins.batch.streams.stream import HEAD_BYTES
from rocketjob_plugins.batch.streams.workbook import library, write_workbook

_ESCAPED = re.compile(r"_x(?!D[89A-F])([0-9A-F]{4})_", re.IGNORECASE)  # not half of a character
ROWS = 1000  # in one block
TEXTS = ("inlineStr", "s")  # types of cells: a row of empty texts is a row, as we write it
_NO_TIME = re.compile(r"\[[^]]*\]|\"[^\"]*\"|\\.")  # colours and quoted text of a number format


class Xlsx:
    """Excel workbooks: `sheet` is a name, or a number counted from 0, and by default the first."""

    name: ClassVar[str] = "xlsx"
    extensions: ClassVar[tuple[str, ...]] = ("xlsm",)
    as_lines: ClassVar[str] = "csv"
    library = staticmethod(library)

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._sheet = options.get("sheet")

    def read(self, file: IO[bytes], place: FilePlace) -> Iterator[list[str]]:
        """Yield lists of CSV lines, one for each row of a sheet."""
        head = file.read(HEAD_BYTES)
        file.seek(0)
        if not head.startswith(content.ZIP):
            raise place.wrong(head)
        book = _Workbook(file, place.name, place.limits, self._sheet, place.clean)
        yield from _blocks(book, place.dialect)

    def write(self, rows: Iterable[list[str]], file: IO[bytes], place: FilePlace) -> None:
        """Write lines of CSV as the only sheet."""
        write_workbook(chain.from_iterable(rows), place.dialect, place.name, file.write)


class _Workbook:
    def __init__(
        self,
        file: IO[bytes],
        name: str,
        limits: Limits,
        sheet: Any,
        clean: Callable[[str], str] | None,
    ) -> None:
        self.name, self._clean = name, clean
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
                "is not an Excel workbook, or a damaged one: save it as .xlsx again", file=self.name
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

    def rows(self) -> Iterator[tuple[list[str], bool]]:
        """Yield the texts of each row, and whether there is any, be it an empty one."""
        number = 0
        try:
            for cells, source in self._pairs():
                number += 1
                texts = [self._text(*pair) for pair in _beside(cells, source)]
                yield texts, any(texts) or any(cell.data_type in TEXTS for cell in cells)
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
        if value.__class__ is str:
            return self._cleaned(value, cell)
        if value is None and source is not None and source.data_type == "f":
            if cell.data_type == "str":  # it was calculated, and gave an empty text
                return ""
            formula = getattr(source.value, "text", source.value)  # of an array, or of one cell
            raise self._error(
                f"the formula {formula!r} has no value: open the workbook in a spreadsheet "
                "program and save it",
                source,
            )
        return text_of(value, cell)

    def _cleaned(self, text: str, cell: Any) -> str:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
        text = self._clean(text) if self._clean is not None else text
        if "\0" in text:
            raise self._error('a NUL: encode_cleaner="printable" removes it', cell)
        return text

    def _error(self, problem: str, cell: Any) -> StreamError:
        return StreamError(problem, file=self.name, line=cell.row, column=cell.coordinate)


def _beside(these: Any, others: Any) -> Iterator[tuple[Any, Any]]:
    return zip(these, repeat(None) if others is None else others, strict=False)


def text_of(value: Any, cell: Any = None) -> str:
    """Return a cell's value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return format(Decimal(repr(value)), "f").removesuffix(".0") if value else "0"
    if isinstance(value, datetime):
        whole_day = value.time() == time() and not _shows_time(getattr(cell, "number_format", ""))
        return value.date().isoformat() if whole_day else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    return str(value)


def _duration(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(value.days * 86400 + value.seconds, 60)
    part = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{part}"


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
    for row, is_row in workbook.rows():
        while row and not row[-1] and len(row) > width:
            row.pop()  # cells that only have a format
        width = width or len(row)  # the first row's
        if not is_row:
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
