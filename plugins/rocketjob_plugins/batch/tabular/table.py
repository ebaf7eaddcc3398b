"""Rows of a format with their columns: headers, checks, lines to dicts and back."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.names import base_name
from rocketjob_plugins.batch.streams.options import Dialect
from rocketjob_plugins.batch.tabular.beginnings import other_separator, wrong_separator
from rocketjob_plugins.batch.tabular.fixed import Fixed
from rocketjob_plugins.batch.tabular.formats import Array, Csv, Format, Hash, Json, Psv

BUILT_IN: tuple[type[Format], ...] = (Array, Csv, Fixed, Hash, Json, Psv)
REJECTED = "__rejected__"
CLEANSERS = ("default", "none")
MODES = ("line", "array", "hash")
_READ_AS = {"xlsx": "csv", "xlsm": "csv", "jsonl": "json", "ndjson": "json"}
_SPACES, _DASHES, _OTHERS = re.compile(r"\s+"), re.compile(r"-+"), re.compile(r"\W+")


def known_formats(formats: Iterable[type[Format]] = ()) -> dict[str, type[Format]]:
    """Return the built-in formats and others, by name; the last of a name holds."""
    return {each.name: each for each in (*BUILT_IN, *formats)}


def format_of(file_name: str | None, formats: Iterable[type[Format]] = ()) -> str | None:
    """Return the format that a file name asks for, None if it asks for none.

    It is the first from the right of the parts between dots that is a format's name, in any case:
    `csv` for `orders.csv.gz`. Workbooks are read as `csv`.
    """
    known = {name.lower(): name for name in known_formats(formats)}
    for part in reversed(base_name(file_name).lower().split(".")) if file_name else ():
        found = known.get(_READ_AS.get(part, part))
        if found is not None:
            return found
    return None


def cleanse(name: str) -> str:
    """Return a column's name in its usual form: `First Name` is `first_name`."""
    name = _SPACES.sub("_", name.strip().lower())
    return _OTHERS.sub("", _DASHES.sub("_", name))


class Tabular:
    """Turn the lines of a format to rows and back.

    Args:
        format: csv, psv, json, fixed, array, hash, one of `formats`; xlsx is read as csv.
        columns: their names, where they do not stand in the first line.
        format_options: what the format takes; and `strict`: a row with fewer or more values than
            there are columns is an error. Otherwise missing values are None, surplus ones dropped.
        allowed_columns: any other in a header is an error, or left out with `skip_unknown`.
        required_columns: one that is not in a header is an error.
        skip_unknown: leave out columns that are not allowed.
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
        formats: Iterable[type[Format]] = (),
    ) -> None:
        options = dict(format_options or {})
        self._format = _find(format, known_formats(formats))(options)
        self.format = self._format.name
        self.strict = bool(options.get("strict", False))
        self._sure_of_separator = "separator" in options
        self._allowed, self._required = allowed_columns, required_columns or ()
        self._skip_unknown = skip_unknown
        if header_cleanser not in CLEANSERS:
            raise StreamError(f"header_cleanser must be default or none: {header_cleanser!r}")
        self._cleanse = cleanse if header_cleanser == "default" else None
        self.columns: list[str] | None = None
        self._kept: tuple[list[str], Callable[[list[Any]], Any]] | None = None
        if columns is not None:
            self._set_columns(list(columns))

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
        check = getattr(self._format, "check_first", None)
        if check is not None:
            check(lines)

    def parse_header(self, line: Any) -> list[str]:
        """Take the columns from the header line, and return them.

        Raises:
            StreamError: a column is there twice, is not allowed, is missing or has no name.
        """
        if isinstance(line, str) and (not line or line.isspace()):
            raise self._header_error("the header line is blank: name the columns in it")
        self._check_separator(line)
        try:
            given = [str(name) for name in self._format.parse(line)]
        except StreamError as error:
            raise self._header_error(error.problem, error.column) from None
        names = [self._cleanse(name) for name in given] if self._cleanse else given
        self._check_names(given, names)
        names = self._without_unknown(names)
        self._check_required(names)
        self._set_columns(names)
        return names

    def _check_separator(self, line: Any) -> None:
        separator = self.separator
        if separator is None or not isinstance(line, str):
            return
        found = other_separator(line, separator, self.dialect, self._sure_of_separator)
        if found is not None:
            raise self._header_error(wrong_separator(found, separator))

    def _check_names(self, given: list[str], names: list[str]) -> None:
        first: dict[str, int] = {}
        for number, name in enumerate(names, 1):
            if not name and not self._skip_unknown:
                said = (
                    f" ({given[number - 1]!r} has no letter or digit)" if given[number - 1] else ""
                )
                raise self._header_error(f"the header names no column {number}{said}", number)
            if name in first and name:
                raise self._header_error(
                    f"the column {name} is there twice, at {first[name]} and {number}: rename one",
                    name,
                )
            first.setdefault(name, number)

    def _without_unknown(self, names: list[str]) -> list[str]:
        allowed = self._allowed
        if allowed is None:
            return [name or f"{REJECTED}{number}" for number, name in enumerate(names, 1)]
        unknown = [name for name in names if name not in allowed]
        if unknown and not self._skip_unknown:
            raise self._header_error(
                f"unknown columns: {', '.join(unknown)}{_near(unknown, allowed)}; "
                f"allowed are {', '.join(allowed)}",
                unknown[0],
            )
        if len(unknown) == len(names):
            raise self._header_error(f"no column is known; allowed are {', '.join(allowed)}")
        return [name if name in allowed else REJECTED + name for name in names]

    def _check_required(self, names: list[str]) -> None:
        missing = [name for name in self._required if name not in names]
        if missing:
            raise self._header_error(
                f"columns are missing: {', '.join(missing)}; there are {', '.join(names)}",
                missing[0],
            )

    def _header_error(self, problem: str, column: int | str | None = None) -> StreamError:
        return StreamError(problem, line=1, column=column)

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

        Raises:
            StreamError: it is malformed, or the columns are not known.
        """
        if _is_blank(line):
            return None
        values = self._format.parse(line)
        return self._named([values])[0] if self._format.has_header else values

    def parse_many(self, lines: Iterable[Any]) -> list[Any]:
        """Return the rows of many lines; quicker than one by one.

        Raises:
            StreamError: a line is malformed; `line` is its number, counted from 1.
        """
        return self._parse_all(lines, self._named if self._format.has_header else None)

    def parse_lists(self, lines: Iterable[Any]) -> list[Any]:
        """Return the values of many lines as lists, without looking at columns."""
        return self._parse_all(lines, None)

    def _parse_all(
        self, lines: Iterable[Any], finish: Callable[[list[Any]], list[Any]] | None
    ) -> list[Any]:
        lines = lines if isinstance(lines, list) else list(lines)
        blank = [_is_blank(line) for line in lines]
        if not any(blank):
            rows = self._format.parse_many(lines)
            return finish(rows) if finish else rows
        full = [number for number, is_blank in enumerate(blank) if not is_blank]
        found: list[Any] = [None] * len(lines)
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
            found[number] = row
        return found

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

    def _even(self, row: list[Any], count: int, number: int) -> list[Any]:
        if len(row) == count:
            return row
        if self.strict:
            names = self.columns or []
            values = "1 value" if len(row) == 1 else f"{len(row)} values"
            problem = f"has {values}, and there are {count} columns"
            column = names[len(row)] if len(row) < count else count + 1
            raise StreamError(problem, line=number, column=column)
        return row[:count] + [None] * (count - len(row))

    # --- rows to lines -----------------------------------------------------------------------

    def render(self, row: Any) -> str:
        """Return the line of a row, without a line break at its end.

        A dict is put in the order of the columns: missing ones are empty, others dropped.

        Raises:
            StreamError: it is neither dict nor list, or the columns are not known.
        """
        if not self._format.has_header:
            return self._format.render(row)
        if isinstance(row, Mapping):
            get = row.get
            return self._format.render([get(name) for name in self._output_columns()])
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise StreamError(
                f"a row of {self.format} must be a dict or a list, not {type(row).__name__}"
            )
        return self._format.render(row)

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


def rows_in_mode(
    blocks: Iterable[list[str]], mode: str, table: Tabular | None
) -> Iterator[list[Any]]:
    """Turn blocks of lines to blocks of records: texts, lists or dicts.

    Args:
        mode: `line` leaves the lines; `array` gives lists, the header line's too; `hash` gives
            dicts, and takes the header line if the columns are not known.

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
        done += count
        if block:
            yield block


def _further(error: StreamError, lines: int) -> StreamError:
    line = lines + error.line if error.line is not None else None
    return StreamError(error.problem, file=error.file, line=line, column=error.column)


def _find(format: str | None, known: Mapping[str, type[Format]]) -> type[Format]:
    name = str(format)
    name = _READ_AS.get(name, name)
    if name not in known:
        raise StreamError(
            f"There is no format {format!r}{_near([name], known)}; "
            f"there are {', '.join(sorted(known))}"
        )
    return known[name]


def _near(names: Iterable[str], known: Iterable[str]) -> str:
    near = [found for name in names for found in difflib.get_close_matches(name, list(known), n=1)]
    return f" (did you mean {', '.join(near)}?)" if near else ""


def _is_blank(line: Any) -> bool:
    return line is None or (line.__class__ is str and (not line or line.isspace()))
