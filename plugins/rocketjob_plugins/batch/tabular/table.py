"""Rows of a format with their columns: headers, checks, lines to dicts and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.options import Dialect
from rocketjob_plugins.batch.streams.texts import check_utf8
from rocketjob_plugins.batch.tabular.beginnings import (
    check_header_line,
    check_one_column,
    other_separator,
    wrong_separator,
)
from rocketjob_plugins.batch.tabular.columns import REJECTED, ColumnRules, near
from rocketjob_plugins.batch.tabular.fixed import Fixed
from rocketjob_plugins.batch.tabular.formats import Csv, Json, Psv
from rocketjob_plugins.batch.tabular.known import find, row_options

OF_TEXT = (Csv, Fixed, Json, Psv)  # whose records are lines, or rows that need no parsing


class Tabular:
    """Turn the lines of a format to rows and back.

    Args:
        format: csv, psv, json, fixed, array, hash, one of `formats`; xlsx is read as csv.
        columns: their names, where they do not stand in the first line.
        format_options: what the format takes; `strict`: a row with fewer or more values than there
            are columns is an error (True, the default), or missing values are None and surplus
            ones are dropped (False); `blank_lines`: `skip` or `reject`.
        allowed_columns: any other is an error, or left out with `skip_unknown`.
        required_columns: it is an error if one is missing.
        skip_unknown: leave out columns that are not allowed, and those without a name.
        header_cleanser: `default` gives columns their usual form, `none` leaves them.
        formats: further ones.

    Attributes:
        format: the format's name.
        columns: their names; those that are left out begin with `__rejected__`.

    Raises:
        StreamError: an unknown format, or wrong options.
    """

    def __init__(
        self,
        format: str | None,
        *,
        columns: Sequence[str] | None = None,
        format_options: Mapping[str, Any] | None = None,
        allowed_columns: Sequence[str] | None = None,
        required_columns: Sequence[str] | None = None,
        skip_unknown: bool = False,
        header_cleanser: str = "default",
        formats: Iterable[Any] = (),
    ) -> None:
        options = dict(format_options or {})
        self._format = find(format, formats)(options)
        self.format = self._format.name
        self.strict, self.skips_blank_lines = row_options(options)
        self._sure_of_separator = "separator" in options
        self._rules = ColumnRules(allowed_columns, required_columns, skip_unknown, header_cleanser)
        self.columns: list[str] | None = None
        self._kept: tuple[list[str], Callable[[list[Any]], Any]] | None = None
        if columns is not None and self._format.has_header:
            self._set_columns(self._rules.of_columns(columns))
        elif self.names is not None:
            self._rules.of_columns(self.names)

    # --- header ------------------------------------------------------------------------------

    @property
    def has_header(self) -> bool:
        """Whether rows are lists of values that a header line names."""
        return self._format.has_header

    @property
    def names(self) -> list[str] | None:
        """How the values of a row are called, in their order, where that is known."""
        return self.columns if self.has_header else getattr(self._format, "columns", None)

    @property
    def kept(self) -> list[str] | None:
        """The names without those of the columns that are left out."""
        return self._kept[0] if self._kept is not None else self.names

    @property
    def needs_header(self) -> bool:
        """Whether the columns are to be read from the first line."""
        return self._format.has_header and self.columns is None

    @property
    def dialect(self) -> Dialect | None:
        """How values are told apart, where a line break may be within quotes."""
        return getattr(self._format, "dialect", None)

    @property
    def separator(self) -> str | None:
        """The character between two values, where that is how the format has them."""
        return getattr(self._format, "separator", None)

    def check_first(self, lines: Sequence[str]) -> None:
        """Refuse a file by its first lines, where the format can tell that it is another.

        Raises:
            StreamError: it says how it can be read.
        """
        if self.needs_header:
            check_header_line(lines, self.format)
            if self.separator is not None:
                check_one_column(lines, self.separator, self.dialect)
        check = getattr(self._format, "check_first", None)
        if check is not None:
            check(lines)

    def parse_header(self, line: Any) -> list[str]:
        """Take the columns from the header line, and return them.

        Raises:
            StreamError: a column is there twice, is not allowed, is missing or has no name.
        """
        try:
            if isinstance(line, str) and (not line or line.isspace()):
                raise StreamError("the header line is blank: name the columns in it")
            self._check_separator(line)
            names = self._rules.of_header([str(name) for name in self._format.parse(line)])
        except StreamError as error:
            raise error.at(line=1) from None
        self._set_columns(names)
        return names

    def _check_separator(self, line: Any) -> None:
        separator = self.separator
        if separator is None or not isinstance(line, str):
            return
        other = other_separator(line, separator, self.dialect, self._sure_of_separator)
        if other is not None:
            raise StreamError(wrong_separator(other, separator))

    def _set_columns(self, names: list[str]) -> None:
        self.columns = names
        kept = [number for number, name in enumerate(names) if not name.startswith(REJECTED)]
        if len(kept) == len(names):
            self._kept = None
        elif len(kept) == 1:
            only = kept[0]
            self._kept = [names[only]], lambda row: (row[only],)
        else:
            self._kept = [names[n] for n in kept], itemgetter(*kept) if kept else lambda row: ()

    # --- lines to rows -----------------------------------------------------------------------

    def parse(self, line: Any) -> Any:
        """Return the row of a line: a dict, or any value for json; None for a blank line.

        A dict or a list is a row already; its columns are checked.

        Raises:
            StreamError: it is malformed, or the columns are not known.
        """
        if self._is_given(line):
            return self._given(line)
        if self.is_blank(line):
            return self._blank()
        values = self._format.parse(line)
        return self._named([values])[0] if self._format.has_header else self._checked([values])[0]

    def parse_many(self, lines: Iterable[Any]) -> list[Any]:
        """Return the rows of many lines, with None for a blank one; quicker than one by one.

        Raises:
            StreamError: a line is malformed; `line` is its number, counted from 1.
        """
        lines = lines if isinstance(lines, list) else list(lines)
        if isinstance(self._format, OF_TEXT) and not {str}.issuperset(map(type, lines)):
            return self._each(lines)
        return self._parse_all(lines, self._named if self._format.has_header else self._checked)

    def _each(self, lines: list[Any]) -> list[Any]:
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                rows.append(self.parse(line))
            except StreamError as error:
                raise StreamError(error.problem, line=number, column=error.column) from None
        return rows

    def parse_lists(self, lines: Iterable[Any]) -> list[Any]:
        """Return the values of many lines as lists, without looking at columns."""
        lines = lines if isinstance(lines, list) else list(lines)
        return self._parse_all(lines, None)

    def is_blank(self, line: Any) -> bool:
        """Return whether there is no row in a line; blanks that fill all columns are one."""
        if line.__class__ is not str or (line and not line.isspace()):
            return False
        if not self._format.has_header:
            fits = getattr(self._format, "fits", None)
            return fits is None or not fits(line)
        if not line or (self.columns is not None and len(self.columns) == 1):
            return not line
        try:
            return len(self._format.parse(line)) < 2
        except StreamError:
            return False

    def _blank(self) -> None:
        if not self.skips_blank_lines:
            raise StreamError("is blank: there is no row in it")

    def _parse_all(
        self, lines: list[Any], finish: Callable[[list[Any]], list[Any]] | None
    ) -> list[Any]:
        blank = [self.is_blank(line) for line in lines]
        if not any(blank):
            rows = self._format.parse_many(lines)
            return finish(rows) if finish else rows
        if not self.skips_blank_lines:
            raise StreamError("is blank: there is no row in it", line=blank.index(True) + 1)
        full = [number for number, is_blank in enumerate(blank) if not is_blank]
        parsed: list[Any] = [None] * len(lines)
        try:
            rows = self._format.parse_many([lines[number] for number in full])
            rows = finish(rows) if finish else rows
        except StreamError as error:
            if error.line is None:
                raise
            raise StreamError(
                error.problem, file=error.file, line=full[error.line - 1] + 1, column=error.column
            ) from None
        for number, row in zip(full, rows, strict=True):
            parsed[number] = row
        return parsed

    def _named(self, rows: list[list[Any]]) -> list[dict[str, Any]]:
        names = self.columns
        if names is None:
            raise StreamError(
                f"the columns of the {self.format} input are not known: upload a file with a "
                "header line, or set columns"
            )
        count = len(names)
        if not all(len(row) == count for row in rows):
            rows = [self._even(row, count, number) for number, row in enumerate(rows, 1)]
        if self._kept is not None:
            names, choose = self._kept
            return [dict(zip(names, choose(row), strict=True)) for row in rows]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def even(self, row: list[Any]) -> list[Any]:
        """Return as many values as there are columns.

        Raises:
            StreamError: it has others, and rows must be even.
        """
        return self._even(row, len(self.names or ()), 1)

    def _even(self, row: list[Any], count: int, number: int) -> list[Any]:
        if len(row) == count:
            return row
        names = self.names or []
        column = names[len(row)] if len(row) < count else count + 1
        if self.strict:
            values = "1 value" if len(row) == 1 else f"{len(row)} values"
            columns = "there is 1 column" if count == 1 else f"there are {count} columns"
            raise StreamError(f"has {values}, and {columns}", line=number, column=column)
        missing = [name for name in self._rules.required if name in names[len(row) :]]
        if missing:
            problem = f"has no value for {missing[0]}, which is required"
            raise StreamError(problem, line=number, column=missing[0])
        return [*row[:count], *[None] * (count - len(row))]

    def _checked(self, rows: list[Any]) -> list[Any]:
        """Check rows that the format has named itself."""
        if None in rows:
            raise StreamError("is null: there is no row in it", line=rows.index(None) + 1)
        return (
            rows if self._rules.is_open else [self._rule(n, row) for n, row in enumerate(rows, 1)]
        )

    def _rule(self, number: int, row: Any) -> Any:
        try:
            return self._rules.row(row)
        except StreamError as error:
            raise error.at(line=number) from None

    # --- rows that are dicts or lists already ------------------------------------------------

    def _is_given(self, record: Any) -> bool:
        return record.__class__ is not str and isinstance(self._format, OF_TEXT)

    def _given(self, record: Any) -> Any:
        names = self.names
        if isinstance(record, Mapping):
            row = dict(record)
            return self._rules.row(row) if names is None else self._in_columns(row)
        if self.format == "json" and record is not None and not isinstance(record, bytes):
            return self._rules.row(record)
        if not isinstance(record, list | tuple):
            raise StreamError(f"must be text, a dict or a list, not {type(record).__name__}")
        kept, values = self.kept, list(record)
        if kept is not None and len(values) == len(kept):
            return self._rules.row(dict(zip(kept, values, strict=True)))
        if self.has_header:
            return self._named([values])[0]
        return self._rules.row(dict(zip(names or (), self.even(values), strict=True)))

    def _in_columns(self, row: dict[str, Any]) -> dict[str, Any]:
        """Check a dict against columns that are known."""
        names = self.kept or []
        row = self._rules.row(row)
        unknown = [name for name in row if name not in names]
        missing = [name for name in names if name not in row]
        if unknown and self.strict and not self._skips(unknown):
            problem = f"has the column {unknown[0]}{near(unknown, names)}, and there are "
            raise StreamError(problem + ", ".join(names), column=unknown[0])
        if missing and self.strict:
            problem = f"has no column {missing[0]}, and there are {', '.join(names)}"
            raise StreamError(problem, column=missing[0])
        return {name: row.get(name) for name in names}

    def _skips(self, names: Iterable[str]) -> bool:
        return all(REJECTED + name in (self.columns or ()) for name in names)

    # --- rows to lines -----------------------------------------------------------------------

    def render(self, row: Any) -> str:
        """Return the line of a row, without a line break at its end.

        A dict is put in the order of the columns: missing ones are empty, others dropped.

        Raises:
            StreamError: the format cannot hold it, or the columns are not known.
        """
        line = self._line(row)
        return line if line.__class__ is not str else check_utf8(line)

    def _line(self, row: Any) -> str:
        if not self._format.has_header:
            return self._format.render(row)
        values, names = self._values(row)
        try:
            line = self._format.render(values)
        except StreamError as error:
            at = error.column
            if names is not None and isinstance(at, int) and at <= len(names):
                at = names[at - 1]
            raise StreamError(error.problem, column=at) from None
        if self.is_blank(line):
            raise StreamError(f"would be a blank line, which is not a row of {self.format}")
        return line

    def _values(self, row: Any) -> tuple[list[Any], list[str] | None]:
        """Return the values of a row that is to be written, and how they are called."""
        if row.__class__ is dict or isinstance(row, Mapping):  # the first is quick to see
            names = self._output_columns()
            if row and row.keys().isdisjoint(names):
                raise StreamError(f"has none of the columns {', '.join(names)}")
            return list(map(row.get, names)), names
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise StreamError(
                f"a row of {self.format} must be a dict or a list, not {type(row).__name__}"
            )
        values = list(row)
        if self.columns is None or len(values) == len(self.kept or ()):
            return values, self.kept
        return self.even(values), self.columns  # also those of columns that are left out

    def render_many(self, rows: Iterable[Any]) -> list[str]:
        """Return the lines of many rows."""
        return [self.render(row) for row in rows]

    def render_header(self) -> str | None:
        """Return the header line; None for a format that has none.

        Raises:
            StreamError: the columns are not known.
        """
        if not self._format.has_header:
            return None
        return self._format.render(self._output_columns())

    def _output_columns(self) -> list[str]:
        if self.columns is None:
            raise StreamError(
                f"the columns of the {self.format} output are not known: set columns, "
                'for example OutputCategory(format="csv", columns=["id", "name"])'
            )
        return self.columns if self._kept is None else self._kept[0]
