"""Blocks of lines as the records of a mode: lines, lists or dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.tabular.table import Tabular

MODES = ("line", "array", "hash")


def rows_in_mode(
    blocks: Iterable[list[str]], mode: str, table: Tabular | None
) -> Iterator[list[Any]]:
    """Turn blocks of lines to blocks of records: texts, lists or dicts.

    Args:
        mode: `line` leaves the lines; `array` gives lists, the header line's too; `hash` gives
            dicts, and takes the header line if the columns are not known. Blank lines are skipped.

    Raises:
        StreamError: a line is malformed; `line` counts from the first block's.
    """
    if mode not in MODES:
        raise StreamError(f"mode must be one of {', '.join(MODES)}: {mode!r}")
    if mode != "line" and table is None:
        raise StreamError(f"mode {mode} needs a format")
    done = 0
    for block in blocks:
        count = len(block)
        if table is not None and mode != "line":
            if mode == "hash" and table.needs_header and block:
                table.parse_header(block[0])
                block, done, count = block[1:], done + 1, count - 1
            try:
                block = table.parse_many(block) if mode == "hash" else table.parse_lists(block)
            except StreamError as error:
                raise _further(error, done) from None
            block = [row for row in block if row is not None]
        done += count
        if block:
            yield block


def _further(error: StreamError, lines: int) -> StreamError:
    line = lines + error.line if error.line is not None else None
    return StreamError(error.problem, file=error.file, line=line, column=error.column)
