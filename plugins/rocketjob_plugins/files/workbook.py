"""Writing an Excel workbook, row by row."""

from __future__ import annotations

import csv
import importlib
import tempfile
from collections.abc import Iterable
from typing import Any

from rocketjob_plugins.batch.streams import StreamError, open_writer

MOST_ROWS = 1_048_576  # what Excel can open
CHUNK = 256 * 1024


def write_workbook(target: str, lines: Iterable[str]) -> None:
    """Write lines of csv as the one sheet of a workbook, which appears when it is whole.

    Raises:
        StreamError: it cannot be written; the message says which row is to blame.
    """
    try:
        openpyxl: Any = importlib.import_module("openpyxl")
    except ImportError:
        raise StreamError("Excel needs a library: pip install 'rocketjob[excel]'") from None
    book = openpyxl.Workbook(write_only=True)  # its rows go to a temporary file
    sheet = book.create_sheet()
    with open_writer(target, streams=[]) as writer, tempfile.TemporaryFile() as file:
        try:
            for number, row in enumerate(csv.reader(lines), 1):
                if number > MOST_ROWS:
                    raise StreamError(f"has more than {MOST_ROWS} rows: too many for Excel")
                _append(sheet, row, number, target)
        finally:
            book.save(file)  # also where a row failed: it removes its temporary files
        file.seek(0)
        while data := file.read(CHUNK):
            writer.write(data)


def _append(sheet: Any, row: list[str], number: int, target: str) -> None:
    try:
        sheet.append(row)
    except Exception as error:  # such as a control character
        raise StreamError(f"row {number} cannot be written: {error}", file=target) from error
