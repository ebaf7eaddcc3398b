r"""Rejected records as JSON lines that a person or a program corrects, and back, byte for byte.

    {"_row": 3, "_error": "ValueError: ...", "kind": "text", "record": "3,\"1,250\""}

`record` is the whole record as `rocketjob_plugins.batch.record_text` has it, also where the input
has columns; `kind` says how it is to be read, and stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rocketjob.model.types import exact_json
from rocketjob_plugins.batch import record_text, streams
from rocketjob_plugins.batch.outcome.reject_file import ERROR, RECORD, ROW, checked_number
from rocketjob_plugins.batch.streams import ReadKeywords, StreamError

if TYPE_CHECKING:
    from rocketjob_plugins.batch.model import BatchModel

KIND = "kind"
NO_TEXT = "none"
"""The kind of a record that has no exact form as text: it can only stay as it is."""
BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""What some programs end a line at."""
LINES = frozenset(("jsonl", "ndjson"))
"""The extensions of files of JSON lines."""
_HOW = "write it with download_rejects, correct the records, and leave _row and kind as they are"


class RejectLines:
    """How the records of a job are written and read, as `RejectFile` does it.

    Args:
        reasons: whether `_error` is written.
    """

    row_name = ROW

    def __init__(self, job: BatchModel, reasons: bool = True) -> None:
        self._has_reasons = reasons

    # --- writing -----------------------------------------------------------------------------

    def header(self) -> None:
        """Return nothing: each line says itself what is in it."""

    def line(self, number: int, record: Any, error: str) -> str:
        kind, text = self.cells(record)
        reason = {ERROR: error} if self._has_reasons else {}
        row = {ROW: number, **reason, KIND: kind, RECORD: text}
        return json.dumps(row, ensure_ascii=False).translate(BREAKS)

    def cells(self, record: Any) -> list[str]:
        """Return the kind of a record, and its text."""
        try:
            return [record_text.kind_of(record), record_text.text_of(record)]
        except ValueError:
            return [NO_TEXT, repr(record)]

    # --- reading -----------------------------------------------------------------------------

    def rows(
        self, source: Any, separator: str, reading: ReadKeywords
    ) -> Iterator[tuple[int, int, list[str]]]:
        """Yield line, row number and cells of each line of a file.

        Raises:
            StreamError: it is not as it was written, and where.
        """
        with streams.open_lines(source, **reading) as lines:
            for line, text in enumerate(lines, 1):
                if not text.strip():
                    continue
                try:
                    yield line, *_row_of(text)
                except StreamError as error:
                    raise error.at(file=lines.blocks.name, line=line) from None

    def record(self, cells: list[str], original: Any) -> Any:
        """Return a corrected record; what is as it was stays that."""
        kind, text = before = self.cells(original)
        if cells == before:
            return original
        if cells[0] != kind:
            raise StreamError(f"must stay {kind!r}, and is {cells[0]!r:.50}: {_HOW}", column=KIND)
        if kind == NO_TEXT:
            raise StreamError(f"has no exact form as text: it must stay {text:.200}", column=RECORD)
        try:
            return record_text.record_of(kind, cells[1])
        except ValueError as error:
            raise StreamError(str(error), column=RECORD) from None


def object_of(text: str, how: str) -> dict[str, Any]:
    """Return the JSON object on a line.

    Args:
        how: what a line must be like, for the error.

    Raises:
        StreamError: it is none.
    """
    try:
        row = exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StreamError(f"is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise StreamError(f"must be a JSON object: {how}")
    return row


def _row_of(text: str) -> tuple[int, list[str]]:
    row = object_of(text, _HOW)
    for name, kind in ((ROW, int), (KIND, str), (RECORD, str)):
        if type(row.get(name)) is not kind:
            what = "a whole number" if kind is int else "a string"
            raise StreamError(f"must be {what}: {_HOW}", column=name)
    return checked_number(row[ROW], ROW), [row[KIND], row[RECORD]]
