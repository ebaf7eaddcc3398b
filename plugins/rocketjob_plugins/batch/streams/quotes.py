"""Line breaks within double quotes belong to the record, as in CSV (RFC 4180)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rocketjob_plugins.batch.streams.errors import StreamError

if TYPE_CHECKING:
    from rocketjob_plugins.batch.streams.lines import LineBlocks


def join_quoted(
    lists: Iterable[list[str]], state: LineBlocks, separator: str, longest: int
) -> Iterator[list[str]]:
    """Join the lines whose line break is within quotes.

    Raises:
        StreamError: a quote is not closed, or not within `longest` characters.
    """
    complete = _complete(separator).fullmatch
    opened: list[str] = []  # the lines of a record that goes on
    length = began = 0
    for lines in lists:
        if not opened and '"' not in "".join(lines):
            yield lines
            continue
        found: list[str] = []
        for index, line in enumerate(lines):
            if opened:
                opened.append(line)
                length += len(line)
                if open_quote(line, True, separator) < 0:
                    found.append((state.delimiter or "").join(opened))
                    opened = []
                elif length > longest:
                    raise _unbalanced(state, began, opened[0], separator)
            elif '"' in line and not complete(line) and open_quote(line, False, separator) >= 0:
                opened, length, began = [line], len(line), state.line + index + 1
            else:
                found.append(line)
        if found:
            yield found
    if opened:
        raise _unbalanced(state, began, opened[0], separator)


@functools.cache
def _complete(separator: str) -> re.Pattern[str]:
    """Return what matches a line of which every value is well formed, as nearly all are."""
    quoted = r'"[^"]*+(?:""[^"]*+)*+"'
    plain = rf'(?:(?!{re.escape(separator)})[^"])*+'
    if len(separator) == 1:
        plain = rf'[^"{re.escape(separator)}]*+'  # the same, and quicker
    value = rf"(?:{quoted}|{plain})"
    return re.compile(rf"{value}(?:{re.escape(separator)}{value})*+")


def open_quote(line: str, inside: bool, separator: str) -> int:
    """Return where the quote stands that is still open at the end of a line; -1 if there is none.

    A quote opens only at the beginning of a value: in `5" pipe` it is an ordinary character.

    Args:
        inside: whether the line begins within quotes; it then counts as opened at 0.
    """
    find, opening = line.find, separator + '"'
    opened = 0 if inside or line[:1] == '"' else _next(line, opening, 0)
    at = 0 if inside else opened + 1
    while opened >= 0:
        close = find('"', at)
        if close < 0:
            return opened
        at = close + 1
        if line[at : at + 1] == '"':  # a doubled quote stands for one
            at += 1
            continue
        opened = _next(line, opening, at)
        at = opened + 1
    return -1


def _next(line: str, opening: str, start: int) -> int:
    found = line.find(opening, start)
    return found if found < 0 else found + len(opening) - 1


def _unbalanced(state: LineBlocks, line: int, text: str, separator: str) -> StreamError:
    return StreamError(
        "a double quote is opened here and never closed: close it, or remove it",
        file=state.name,
        line=line,
        column=open_quote(text, False, separator) + 1,
    )
