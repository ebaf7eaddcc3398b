"""The header line of a file, also of one that is added to the records of another."""

from __future__ import annotations

from typing import Any

import attrs

from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.io import tables
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.tabular import REJECTED, Tabular


class Header:
    """Takes the columns from a file's first line.

    The lines of a further file are stored in the order of the first one's columns, since there is
    one for all records of an input.

    Attributes:
        table: what parses the lines; None where they are not rows.
        is_wanted: whether the first line is still to be taken.
    """

    def __init__(self, category: InputCategory, file_name: str | None, mode: str) -> None:
        self._category = category
        self._order: list[int | None] | None = None
        self.table: Tabular | None = None
        self._read: Tabular | None = None  # with the columns as they are in this file
        if category.format is not None or mode != "line":
            unread = attrs.evolve(category, columns=None) if category.header_read else category
            self.table = tables.input_table(unread, file_name)
        self.is_wanted = self.table is not None and self.table.needs_header

    def begin(self, is_first: bool, former_name: str | None) -> None:
        """Forget the columns of an earlier upload that left no records, or hold to its format.

        Raises:
            StreamError: what is there already is of another format.
        """
        category, table = self._category, self.table
        if is_first and category.header_read:
            category.columns, category.header_read = None, False
        if table is None or is_first or category.format != "auto":
            return
        before = tables.input_table(attrs.evolve(category, columns=None), former_name).format
        if before != table.format:
            raise StreamError(
                f"is {table.format}, and this input has records of {before} already: upload it to "
                "another job"
            )

    def take(self, line: str) -> None:
        """Take the columns from the header line."""
        assert self.table is not None
        category, names = self._category, list(self.table.parse_header(line))
        self.is_wanted = False
        before = category.columns if category.header_read else None
        if before is None:
            category.columns, category.header_read = names, True
        elif names != before:
            self._reorder(names, before)

    def _reorder(self, names: list[str], before: list[str]) -> None:
        ours, theirs = ({n for n in each if not n.startswith(REJECTED)} for each in (names, before))
        if ours != theirs:
            raise StreamError(
                f"has the columns {', '.join(names)}, and a file before it had "
                f"{', '.join(before)}: each file has a header line, and the same columns in any "
                "order; upload others to another job"
            )
        self._order = [names.index(name) if name in names else None for name in before]
        self._read, self.table = self.table, tables.input_table(self._category)

    def lines(self, lines: list[str]) -> list[str]:
        """Return lines with their values in the order of the columns of all records."""
        return lines if self._order is None else [self._moved(line) for line in lines]

    def _moved(self, line: str) -> str:
        table: Any = self._read
        assert self.table is not None
        if table.is_blank(line):
            return line
        try:
            values = table.even(table.parse_lists([line])[0])
        except StreamError:
            return line  # the worker rejects it, or fails, as it stands in the file
        return str(self.table.render([None if n is None else values[n] for n in self._order or ()]))

    def end(self, file: str) -> None:
        """Raise StreamError where there was no header line, and it had to name something."""
        if self.is_wanted and self._category.required_columns:
            required = ", ".join(self._category.required_columns)
            raise StreamError(f"is empty: it has no header line with {required}", file=file)
