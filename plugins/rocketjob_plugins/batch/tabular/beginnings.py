"""What the first lines of a file tell: another separator, another format, JSON not in lines."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.options import Dialect
from rocketjob_plugins.batch.streams.quotes import without_quoted

SEPARATORS = ",;\t|"
RARE_SEPARATORS = "^~"  # they need more than a header to be believed
FIRST_LINES = 10  # that are looked at for those
_DECLARED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_BRACKETS = ("[", "{")
_MARKUP = {"<!doctype html": "a web page", "<html": "a web page", "<?xml": "XML"}


def declared_separator(line: str) -> str | None:
    """Return the separator that a line `sep=;` names, as Excel writes it before the header."""
    match = _DECLARED.fullmatch(line.rstrip("\r"))
    return match[1] if match else None


def check_declared(line: str, separator: str | None) -> bool:
    """Return whether a line only names the separator.

    Raises:
        StreamError: it is another one than that of the format.
    """
    declared = declared_separator(line) if separator is not None else None
    if declared is not None and declared != separator:
        raise StreamError(f"the first line names another separator: {_cure(declared)}")
    return declared is not None


def other_separator(line: str, separator: str, dialect: Dialect | None, sure: bool) -> str | None:
    """Return what else seems to separate the names of a header line.

    Args:
        dialect: what is within its quotes does not count.
        sure: the separator was given: another one is looked for only where it is not there at all.
    """
    outside = _outside(line, dialect)
    other = max(SEPARATORS.replace(separator, ""), key=outside.count)
    least = 0 if sure else outside.count(separator)
    others = outside.count(other)
    return other if others > least and not (sure and separator in outside) else None


def check_one_column(lines: Sequence[str], separator: str, dialect: Dialect | None) -> None:
    """Refuse one column whose name and values are all cut by a separator that is seldom used.

    A colon is none of these: times and addresses have as many of them in each line.

    Args:
        lines: the first ones of a file, with its header line.
        dialect: what is within its quotes does not count.

    Raises:
        StreamError: they are, and by which.
    """
    full = itertools.islice((line for line in lines if line.strip()), FIRST_LINES)
    first = [_outside(line, dialect) for line in full]
    if len(first) < 2 or any(mark in first[0] for mark in (*SEPARATORS, separator)):
        return
    for mark in RARE_SEPARATORS:
        has_names = mark in first[0] and all(name.strip() for name in first[0].split(mark))
        if has_names and len({line.count(mark) for line in first}) == 1:
            raise StreamError(wrong_separator(mark, separator))


def _outside(line: str, dialect: Dialect | None) -> str:
    """Return a line without what is within the quotes of a dialect."""
    return without_quoted(dialect).sub("", line) if dialect else line


def wrong_separator(right: str, separator: str) -> str:
    """Say what is wrong with a header that another separator cuts."""
    return f"the header is separated by {_named(right)} and not by {_named(separator)}: " + _cure(
        right
    )


def _cure(separator: str) -> str:
    return f'use the format csv with format_options={{"separator": {_named(separator)}}}'


def _named(separator: str) -> str:
    return json.dumps(separator)


def check_header_line(lines: Sequence[str], format: str) -> None:
    """Refuse a file whose first line can be no header: JSON, or the beginning of a web page.

    Raises:
        StreamError: it says what it looks like.
    """
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith(_BRACKETS) and _is_json(first):
        raise StreamError(f'looks like JSON and not like {format}: set format="json"')
    for beginning, words in _MARKUP.items():
        if first[: len(beginning)].lower() == beginning:
            raise StreamError(
                f"looks like {words} and not like {format}: was it fetched as it should be?"
            )


def check_json_lines(lines: Sequence[str]) -> None:
    """Refuse an array, or one value on several lines, where each line must be a value.

    Args:
        lines: the first ones of a file.

    Raises:
        StreamError: it is one; a line that is merely wrong is left for whoever parses it.
    """
    first, second = [*(line.strip() for line in lines if line.strip()), "", ""][:2]
    if first.startswith(_BRACKETS) and (_is_rows(first, second) or _goes_on(first, second)):
        raise StreamError(
            "is one JSON value and not one value on each line: write it so, for example with "
            f"jq -c '{'.[]' if first[0] == '[' else '.'}'"
        )


def _is_rows(first: str, second: str) -> bool:
    """Return whether the only line is an array of rows."""
    if second or first[0] != "[":
        return False
    try:
        rows = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return bool(rows) and all(isinstance(row, dict | list) for row in rows)


def _goes_on(first: str, second: str) -> bool:
    """Return whether the first line ends within a value, and the second is not JSON by itself."""
    if first in _BRACKETS:
        return True
    return _ends_within(first) and bool(second) and not _is_json(second)


def _ends_within(line: str) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos >= len(line)
    except RecursionError:
        pass
    return False


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
