"""The built-in formats: how a line becomes values, and values a line.

A format of your own is a class with the attributes of `Format`; the hook `register_formats`
brings it::

    class Tabs:
        name, has_header = "tabs", True

        def __init__(self, options): ...
        def parse(self, line): return line.split("\\t")
        def parse_many(self, lines): return [self.parse(line) for line in lines]
        def render(self, row): return "\\t".join(map(str, row))
"""

from __future__ import annotations

import csv
import json
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from rocketjob.model.types import exact_json
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.options import Dialect
from rocketjob_plugins.batch.streams.texts import json_of, texts_of
from rocketjob_plugins.batch.tabular.beginnings import check_json_lines

_NOT_IN_PSV = re.compile(r"[|\r\n]")


class Format(Protocol):
    """What a format has to be. An instance may be used by one thread at a time.

    Attributes:
        name: as in a category; also the part of a file name that asks for it.
        has_header: rows are lists of values whose names are in the header line; otherwise a row
            is what `parse` returns, such as a dict.

    A format may also have `separator`, the character between two values; `dialect`, where a line
    break may be within quotes; and `check_first(lines)`, which refuses a file by its first lines.
    """

    name: ClassVar[str]
    has_header: ClassVar[bool]

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raise StreamError where the options of the format are wrong."""

    def parse(self, line: str) -> Any:
        """Return the values of a line that is not blank; raise StreamError if it is malformed."""

    def parse_many(self, lines: list[str]) -> list[Any]:
        """Return the values of many lines, none of which is blank."""

    def render(self, row: Any) -> str:
        """Return the line of a row: a list if there is a header, otherwise what was given."""


def check_options(name: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise StreamError for an option that a format does not have."""
    known = {*known, "sheet", "strict", "blank_lines"}  # of the reader and of `Tabular`
    unknown = [key for key in options if key not in known]
    if unknown:
        raise StreamError(
            f"the format {name} has no option {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )


class Csv:
    """Values separated by commas, quoted where needed (RFC 4180).

    Options: `separator`, one character; `quote`, one character.
    """

    name: ClassVar[str] = "csv"
    has_header: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        check_options(self.name, options, ("separator", "quote"))
        try:
            self.dialect = Dialect(options.get("separator", ","), options.get("quote", '"'))
        except StreamError as error:
            raise StreamError(f"the options of the format csv are wrong: {error}") from None
        self.separator = self.dialect.separator
        self._options: dict[str, Any] = {
            "delimiter": self.separator,
            "quotechar": self.dialect.quote,
            "strict": True,
        }
        self._line: list[str] = []
        # The line terminator decides what is quoted: both line breaks have to be.
        target: Any = types.SimpleNamespace(write=lambda line: line[:-2])
        try:
            self._write: Any = csv.writer(target, lineterminator="\r\n", **self._options).writerow
            # One reader for all single lines: to make one takes longer than to parse a line.
            self._reader = csv.reader(iter(self._line.pop, None), **self._options)
        except (TypeError, ValueError) as error:
            raise StreamError(f"the options of the format csv are wrong: {error}") from None

    def parse(self, line: str) -> list[str]:
        self._line.append(line)
        try:
            return next(self._reader)
        except IndexError:  # it needs another line
            raise StreamError("a double quote is opened and never closed") from None
        except csv.Error as error:
            if "field limit" in str(error) and _raise_limit(len(line)):
                return self.parse(line)
            raise StreamError(f"is not valid CSV: {_said(error)}") from None

    def parse_many(self, lines: list[str]) -> list[list[str]]:
        try:
            rows = list(csv.reader(lines, **self._options))
        except csv.Error:
            rows = []
        # An open quote swallows the lines behind it, so that there are fewer rows.
        return rows if len(rows) == len(lines) else parse_each(self, lines)

    def render(self, row: Iterable[Any]) -> str:
        line: str = self._write(texts_of(row))
        return line


def _raise_limit(length: int) -> bool:
    """Let csv take a field of this length: 128 KiB is its default, for the whole process."""
    before = csv.field_size_limit()
    if length > before:
        csv.field_size_limit(length)
    return length > before


def _said(error: csv.Error) -> str:
    message = str(error)
    if "new-line character seen in unquoted field" in message:
        return (
            "a line break stands outside of quotes: put the value in quotes, or if the file mixes "
            'CR LF and LF pass delimiter="\\n"'
        )
    if "expected after" in message:
        return "something stands behind a closing double quote: one within a value is written twice"
    return message


def parse_each(format: Any, lines: Sequence[str]) -> list[Any]:
    """Parse line by line, so that an error names the line, counted from 1."""
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(format.parse(line))
        except StreamError as error:
            raise error.at(line=number) from None
    return rows


class Psv:
    """Values separated by `|`, without quotes.

    Options: `replace`, what is written in place of a `|` or a line break within a text; without it
    a string like that is refused.
    """

    name: ClassVar[str] = "psv"
    has_header: ClassVar[bool] = True
    separator: ClassVar[str] = "|"

    def __init__(self, options: Mapping[str, Any]) -> None:
        check_options(self.name, options, ("replace",))
        self._replace = options.get("replace")
        if self._replace is not None and (
            not isinstance(self._replace, str) or _NOT_IN_PSV.search(self._replace)
        ):
            raise StreamError(f"the option replace must be a string without |: {self._replace!r}")

    def parse(self, line: str) -> list[str]:
        return _one_line(line).split("|")

    def parse_many(self, lines: list[str]) -> list[list[str]]:
        joined = "".join(lines)
        if "\n" in joined or "\r" in joined:
            return parse_each(self, lines)
        return [line.split("|") for line in lines]

    def render(self, row: Iterable[Any]) -> str:
        texts = [str(text) if text is not None else "" for text in texts_of(row)]
        line = "|".join(texts)
        if line.count("|") < len(texts) and "\n" not in line and "\r" not in line:
            return line
        return "|".join([self._held(number, text) for number, text in enumerate(texts, 1)])

    def _held(self, number: int, text: str) -> str:
        match = _NOT_IN_PSV.search(text)
        if match is None:
            return text
        if self._replace is not None:
            return _NOT_IN_PSV.sub(self._replace, text)
        what = "a line break" if match[0] != "|" else "|"
        raise StreamError(
            f'{what} cannot be written as psv: write csv, or set format_options={{"replace": " "}}',
            column=number,
        )


def _one_line(line: str) -> str:
    """Return a line without the line break at its end, which is what lines of open files have."""
    line = line.removesuffix("\n").removesuffix("\r")
    if "\n" in line or "\r" in line:
        raise StreamError(
            "a line break stands within the line: is it one row? Of a file pass the right "
            'delimiter, such as delimiter="\\n"'
        )
    return line


class Json:
    """One JSON value in each line."""

    name: ClassVar[str] = "json"
    has_header: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        check_options(self.name, options, ())
        self.check_first = check_json_lines
        self._decode = exact_json.decoder().decode

    def parse(self, line: str) -> Any:
        try:
            return self._decode(line)
        except exact_json.Inexact as error:
            raise StreamError(str(error), column=error.name) from None
        except json.JSONDecodeError as error:
            raise StreamError(f"is not valid JSON: {error.msg}", column=error.pos + 1) from None
        except RecursionError:
            raise StreamError("is nested too deeply") from None
        except ValueError as error:  # an integer of thousands of digits
            raise StreamError(f"is not valid JSON: {error}") from None

    def parse_many(self, lines: list[str]) -> list[Any]:
        try:
            return exact_json.loads_each(lines)
        except (RuntimeError, ValueError, RecursionError):
            return parse_each(self, lines)  # one is wrong, or has spaces around its value

    def render(self, row: Any) -> str:
        return json_of(row)


class Array:
    """Rows that are lists already."""

    name: ClassVar[str] = "array"
    has_header: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        check_options(self.name, options, ())

    def parse(self, line: Any) -> list[Any]:
        if isinstance(line, str) or not isinstance(line, Sequence):
            raise StreamError(f"is not a list: {type(line).__name__}")
        return list(line)

    def parse_many(self, lines: list[Any]) -> list[list[Any]]:
        return parse_each(self, lines)

    def render(self, row: Iterable[Any]) -> Any:
        return list(row)


class Hash:
    """Rows that are dicts already."""

    name: ClassVar[str] = "hash"
    has_header: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        check_options(self.name, options, ())

    def parse(self, line: Any) -> dict[str, Any]:
        if not isinstance(line, Mapping):
            raise StreamError(f"is not a dict: {type(line).__name__}")
        return dict(line)

    def parse_many(self, lines: list[Any]) -> list[dict[str, Any]]:
        return parse_each(self, lines)

    def render(self, row: Any) -> Any:
        return row
