"""What a cell of an Excel workbook can hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rocketjob_plugins.batch.streams.errors import StreamError

MOST_ROWS, MOST_COLUMNS, LONGEST_TEXT = 1_048_576, 16_384, 32_767
# Characters that XML cannot hold, or changes, are written as `_x000D_`; a literal `_x000D_` is
# escaped.
_SIGNS = "\x00-\x08\x0b-\x1f\ufffe\uffff"
_TO_ESCAPE = re.compile(rf"_(?=x[0-9A-Fa-f]{{4}}[_{_SIGNS}])|[{_SIGNS}]")


def cell_text(text: str) -> str:
    """Return a text as it stands in a cell.

    Raises:
        StreamError: it is too long.
    """
    text = _TO_ESCAPE.sub(_escaped, text)
    if len(text) > LONGEST_TEXT // 2:
        length = len(text.encode("utf-16-le")) // 2
        if length > LONGEST_TEXT:
            raise StreamError(
                f"the text has {length:,} characters, and Excel holds {LONGEST_TEXT:,} in a cell: "
                "shorten it, or write .csv"
            )
    return text


def check_cells(row: Sequence[str], names: Sequence[str]) -> None:
    """Raise StreamError for a row that a sheet cannot hold; a column is named by its name."""
    if len(row) > MOST_COLUMNS:
        raise StreamError(
            f"has {len(row):,} values, and Excel holds {MOST_COLUMNS:,} in a row: write .csv"
        )
    for number, text in enumerate(row):
        try:
            cell_text(text)
        except StreamError as error:
            raise error.at(column=column_of(number, names)) from None


def column_of(number: int, names: Sequence[str]) -> str | int:
    """Return how a column is called, counted from 0: by its number where it has no name."""
    return names[number] if number < len(names) else number + 1


def _escaped(match: re.Match[str]) -> str:
    return f"_x{ord(match[0]):04X}_"
