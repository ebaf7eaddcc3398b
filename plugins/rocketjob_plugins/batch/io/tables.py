"""Tabular categories: lines to rows on the way in, rows to lines on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from rocketjob import Job
from rocketjob_plugins.batch.category import InputCategory, OutputCategory
from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.streams.file_formats import lines_of
from rocketjob_plugins.batch.streams.known import file_formats
from rocketjob_plugins.batch.tabular import (
    Tabular,
    check_name,
    format_of,
    known_formats,
    row_options,
)
from rocketjob_plugins.batch.tabular.known import brought, text_options

RULES = ("allowed_columns", "required_columns", "skip_unknown")


Formats = Sequence[Any]


def input_table(
    category: InputCategory, file_name: str | None = None, formats: Formats | None = None
) -> Tabular:
    """Return what parses the lines of an input.

    Args:
        formats: besides the built-in ones; by default those of plugins.
    """
    formats = brought() if formats is None else formats
    return Tabular(
        format_for(category, file_name or category.file_name, formats),
        columns=category.columns,
        format_options=category.format_options,
        allowed_columns=category.allowed_columns,
        required_columns=category.required_columns,
        skip_unknown=category.skip_unknown,
        header_cleanser=category.header_cleanser,
        formats=formats,
    )


def output_table(
    category: OutputCategory, format: str | None = None, formats: Formats | None = None
) -> Tabular:
    """Return what renders the rows of an output, in its own format if none is given.

    Args:
        formats: besides the built-in ones; by default those of plugins.
    """
    formats = brought() if formats is None else formats
    return Tabular(
        format or format_for(category, category.file_name, formats),
        columns=category.columns,
        format_options=category.format_options,
        formats=formats,
    )


BLANK: Any = object()
"""Stands for a line that is not a row, where one is in a slice nevertheless."""


def parses(category: InputCategory) -> bool:
    """Return whether the records of an input are rows."""
    return category.is_tabular or category.mode != "line"


def check(category: InputCategory | OutputCategory, *, plugins: bool = False) -> None:
    """Check the format of a category, its options and columns, before anything is done with it.

    Args:
        plugins: also formats that plugins bring. Where a class is made they may not be there yet,
            and it may be one of them that makes it: then none of them is asked.

    Raises:
        StreamError: they do not fit each other.
    """
    rules = [n for n in RULES if getattr(category, n, None)]
    if isinstance(category, InputCategory) and not parses(category) and rules:
        raise StreamError(
            f'{rules[0]} needs a format: a plain line has no columns; set format="csv", for example'
        )
    if isinstance(category, OutputCategory) and category.format is None:
        text_options(category.format_options or {})
    elif category.format in (None, "auto"):
        row_options(category.format_options or {})
    elif plugins or category.format in (*known_formats(), "xlsx"):
        _check_table(category, None if plugins else ())
    if isinstance(category, OutputCategory):
        check_target_name(category, category.file_name, formats=None if plugins else ())


def check_target_name(
    category: OutputCategory,
    target: Any,
    format: str | None = None,
    formats: Formats | None = None,
) -> None:
    """Refuse to write an output to a file that is named as if it were of another format.

    Args:
        format: in which its rows are written, if that is not the category's own.
        formats: besides the built-in ones; by default those of plugins.

    Raises:
        StreamError: it is, and what to do.
    """
    if category.format is not None:
        separator = (category.format_options or {}).get("separator")
        others = brought() if formats is None else formats
        written_as = format or format_for(category, category.file_name, others)
        check_name(target, written_as, separator, formats=formats)


def _check_table(category: InputCategory | OutputCategory, formats: Formats | None) -> None:
    if isinstance(category, InputCategory):
        input_table(category, formats=formats)
    elif category.columns is not None:
        output_table(category, formats=formats).render_header()
    else:
        output_table(category, formats=formats)


def format_for(
    category: InputCategory | OutputCategory, file_name: str | None, formats: Formats
) -> str:
    """Return the format of a category, which is that of the file if it is to be found by it."""
    given, named = category.format, format_of(file_name, formats)
    if given in (None, "auto"):
        return named or "csv"
    files = file_formats(formats)
    as_lines = lines_of(files[given]) if given in files else None
    return str(given) if as_lines is None else named or as_lines


def asked_for(file_name: str | None) -> str | None:
    """Return the format that a file name asks for, of the built-in ones and those of plugins."""
    return format_of(file_name, brought()) if file_name else None


def lazy_rows(job: Job, category: InputCategory, lines: list[Any], first: int) -> LazyRows:
    """Return the rows of lines; columns that were uploaded since the job was read are looked up.

    Args:
        first: the number of the first line's record.
    """
    rows = LazyRows(category, lines, first)
    if rows.needs_header and not job.is_new:
        _learn_header(job, category)
        rows = LazyRows(category, lines, first)
    return rows


def _learn_header(job: Job, category: InputCategory) -> None:
    stored = job.collection().find_one({"_id": job.id}, {"input_categories": 1}) or {}
    for stored_category in stored.get("input_categories", ()):
        if stored_category.get("name") == category.name:
            category.columns = stored_category.get("columns")


class LazyRows(Sequence[Any]):
    """Rows that are parsed one by one, so that a bad line fails as the record that it is."""

    def __init__(self, category: InputCategory, lines: list[Any], first: int) -> None:
        self._category, self._lines, self._first = category, lines, first
        self._table = input_table(category)
        self._rows = self._parse_at_once()
        self.needs_header: bool = self._table.needs_header

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        row = self._rows[index] if self._rows is not None else self._parse(index)
        return BLANK if row is None else row

    def _parse(self, index: int) -> Any:
        try:
            return self._in_mode(self._table.parse(self._lines[index]))
        except StreamError as error:
            number = self._first + index
            file = self._category.file_of(number)
            raise StreamError(
                error.problem, file=file, record=number, column=error.column
            ) from None

    def _parse_at_once(self) -> list[Any] | None:
        """Parse all lines, which is quicker; None if one is bad, and each is to be parsed alone."""
        try:
            rows = self._table.parse_many(self._lines)
        except StreamError:
            return None
        return rows if self._category.mode != "array" else [self._in_mode(row) for row in rows]

    def _in_mode(self, row: Any) -> Any:
        is_list = self._category.mode == "array" and isinstance(row, Mapping)
        return list(row.values()) if is_list else row


def is_one_line(category: OutputCategory) -> bool:
    """Return whether each record of an output must be one line, where it is written to a file."""
    return category.format is None and not text_options(category.format_options or {})


def header_of(category: OutputCategory) -> str | None:
    """Return the header line of an output; None where its format has none."""
    return output_table(category).render_header() if category.is_tabular else None
