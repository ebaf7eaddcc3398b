"""The formats there are, which one a file name asks for, and the options that all of them take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.names import base_name
from rocketjob_plugins.batch.tabular.columns import near
from rocketjob_plugins.batch.tabular.fixed import Fixed
from rocketjob_plugins.batch.tabular.formats import Array, Csv, Format, Hash, Json, Psv

BUILT_IN: tuple[type[Format], ...] = (Array, Csv, Fixed, Hash, Json, Psv)
BLANK_LINES = ("skip", "reject")
LINE_BREAKS = ("reject", "keep")
_READ_AS = {"xlsx": "csv", "xlsm": "csv", "jsonl": "json", "ndjson": "json"}


def known_formats(formats: Iterable[type[Format]] = ()) -> dict[str, type[Format]]:
    """Return the built-in formats and others, by name; the last of a name holds."""
    return {format.name: format for format in (*BUILT_IN, *formats)}


def built_in_names() -> frozenset[str]:
    """Return the names and extensions of formats that have a meaning without any plugin."""
    return frozenset({*(format.name for format in BUILT_IN), *_READ_AS})


def format_of(file_name: str | None, formats: Iterable[type[Format]] = ()) -> str | None:
    """Return the format that a file name asks for, None if it asks for none.

    It is the first from the right of the parts between dots that is a format's name, ignoring case:
    `csv` for `orders.csv.gz`. Workbooks are read as `csv`.
    """
    known = {name.lower(): name for name in known_formats(formats)}
    for part in reversed(base_name(file_name).lower().split(".")) if file_name else ():
        format = known.get(format_named(part))
        if format is not None:
            return format
    return None


def format_named(extension: str) -> str:
    """Return the format that an extension stands for; of others it is the extension itself."""
    return _READ_AS.get(extension, extension)


def find(format: str | None, known: Mapping[str, type[Format]]) -> type[Format]:
    """Return a format by name.

    Raises:
        StreamError: there is none; the message names those that there are.
    """
    name = format_named(str(format))
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
