"""The formats there are, which one a file name asks for, and the options that all of them take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rocketjob_plugins.batch.registered import registered
from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import is_file_format, lines_of
from rocketjob_plugins.batch.streams.names import base_name
from rocketjob_plugins.batch.tabular.columns import near
from rocketjob_plugins.batch.tabular.file_rows import of_file
from rocketjob_plugins.batch.tabular.fixed import Fixed
from rocketjob_plugins.batch.tabular.formats import Array, Csv, Format, Hash, Json, Psv

BUILT_IN: tuple[type[Format], ...] = (Array, Csv, Fixed, Hash, Json, Psv)
BLANK_LINES = ("skip", "reject")
LINE_BREAKS = ("reject", "keep")
_READ_AS = {"xlsx": "csv", "xlsm": "csv", "jsonl": "json", "ndjson": "json"}


_BY_NAME = {format.name: format for format in BUILT_IN}


def known_formats(formats: Iterable[Any] = ()) -> dict[str, type[Format]]:
    """Return the built-in formats and others, by name; the last of a name holds.

    Args:
        formats: further ones, of lines or of files.
    """
    of_rows = [of_file(each) if is_file_format(each) else each for each in formats]
    return {format.name: format for format in (*BUILT_IN, *filter(None, of_rows))}


def built_in_names() -> frozenset[str]:
    """Return the names and extensions of formats that have a meaning without any plugin."""
    return frozenset({*(format.name for format in BUILT_IN), *_READ_AS})


def brought() -> list[Any]:
    """Return the formats that plugins bring, of lines and of files."""
    return [
        *registered("register_formats", "format").values(),
        *registered("register_file_formats", "file format").values(),
    ]


def format_of(file_name: str | None, formats: Iterable[Any] = ()) -> str | None:
    """Return the format that a file name asks for, None if it asks for none.

    It is the first from the right of the parts between dots that is a format's name or extension,
    ignoring case: `csv` for `orders.csv.gz`. Workbooks are read as `csv`.
    """
    formats = list(formats)
    named = {name.lower(): name for name in known_formats(formats)}
    named.update(_aliases(formats))
    for part in reversed(base_name(file_name).lower().split(".")) if file_name else ():
        if part in named:
            return named[part]
    return None


def _aliases(formats: Iterable[Any] = ()) -> dict[str, str]:
    """Return the formats by extension, and by the name of one that is read as another."""
    if not formats:
        return _READ_AS
    names = dict(_READ_AS)
    for format in formats:
        stands_for = lines_of(format) if is_file_format(format) else None
        for name in (format.name, *getattr(format, "extensions", ())):
            names[name] = stands_for or format.name
    return names


def format_named(name: str, formats: Iterable[Any] = ()) -> str:
    """Return the format that an extension or name stands for; of others it is that itself."""
    return _aliases(formats).get(name, name)


def find(format: str | None, formats: Iterable[Any] = ()) -> type[Format]:
    """Return a format by name, of the built-in ones and others.

    Raises:
        StreamError: there is none; the message names those that there are.
    """
    formats = list(formats)
    known = known_formats(formats) if formats else _BY_NAME  # the usual case, and a quick one
    name = format_named(str(format), formats)
    if name not in known:
        raise StreamError(
            f"There is no format {format!r}{near([name], known)}; "
            f"there are {', '.join(sorted(known))}"
        )
    return known[name]


def row_options(options: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether rows must be even, and whether blank lines are skipped."""
    strict, blank = options.get("strict", True), options.get("blank_lines", "skip")
    if not isinstance(strict, bool):
        raise StreamError(f"the option strict must be True or False, not {strict!r}")
    if blank not in BLANK_LINES:
        raise StreamError(f"the option blank_lines must be skip or reject, not {blank!r}")
    return strict, blank == "skip"


def text_options(options: Mapping[str, Any]) -> bool:
    """Return whether a text of an output without a format may have line breaks.

    Raises:
        StreamError: it has another option, or another value.
    """
    unknown = [name for name in options if name != "line_breaks"]
    if unknown:
        raise StreamError(
            f"an output without a format has no option {unknown[0]!r}; it has line_breaks"
        )
    line_breaks = options.get("line_breaks", "reject")
    if line_breaks not in LINE_BREAKS:
        raise StreamError(f"the option line_breaks must be reject or keep, not {line_breaks!r}")
    return bool(line_breaks == "keep")
