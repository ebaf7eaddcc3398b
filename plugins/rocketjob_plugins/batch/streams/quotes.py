"""Line breaks within quotes belong to the record, as in CSV (RFC 4180)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.options import Dialect


class Position(Protocol):
    """How far a file has been read: see `LineBlocks`."""

    name: str
    delimiter: str | None
    line: int


def join_quoted(
    lists: Iterable[list[str]], state: Position, dialect: Dialect, longest: int
) -> Iterator[list[str]]:
    """Join the lines whose line break is within quotes.

    Raises:
        StreamError: a quote is not closed, or not within `longest` characters.
    """
    complete, quote = _complete(dialect).fullmatch, dialect.quote
    opened: list[str] = []  # the lines of a record that goes on
    length = began = 0
    for lines in lists:
        if not opened and quote not in "".join(lines):
            yield lines
            continue
        joined: list[str] = []
        for index, line in enumerate(lines):
            if opened:
                opened.append(line)
                length += len(line)
                if open_quote(line, True, dialect) < 0:
                    joined.append((state.delimiter or "").join(opened))
                    opened = []
                elif length > longest:
                    raise _unbalanced(state, began, opened[0], dialect)
            elif quote in line and not complete(line) and open_quote(line, False, dialect) >= 0:
                opened, length, began = [line], len(line), state.line + index + 1
            else:
                joined.append(line)
        if joined:
            yield joined
    if opened:
        raise _unbalanced(state, began, opened[0], dialect)


@functools.cache
def _complete(dialect: Dialect) -> re.Pattern[str]:
    """Return what matches a line of which every value is well formed, as nearly all are."""
    separator, quote = re.escape(dialect.separator), re.escape(dialect.quote)
    quoted = rf"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"
    value = rf"(?:{quoted}|[^{quote}{separator}]*+)"
    return re.compile(rf"{value}(?:{separator}{value})*+")


@functools.cache
def without_quoted(dialect: Dialect) -> re.Pattern[str]:
    """Return what finds the quoted values of a line, to look at what is outside of them."""
    quote = re.escape(dialect.quote)
    return re.compile(rf"{quote}[^{quote}]*+(?:{quote}|\Z)")


def open_quote(line: str, inside: bool, dialect: Dialect) -> int:
    """Return where the quote stands that is still open at the end of a line; -1 if there is none.

    A quote opens only at the beginning of a value: in `5" pipe` it is an ordinary character.

    Args:
        inside: whether the line begins within quotes; it then counts as opened at 0.
    """
    quote = dialect.quote
    find, opening = line.find, dialect.separator + quote
    opened = 0 if inside or line[:1] == quote else _next(line, opening, 0)
    at = 0 if inside else opened + 1
    while opened >= 0:
        close = find(quote, at)
        if close < 0:
            return opened
        at = close + 1
        if line[at : at + 1] == quote:  # a doubled quote stands for one
            at += 1
            continue
        opened = _next(line, opening, at)
        at = opened + 1
    return -1


def _next(line: str, opening: str, start: int) -> int:
    position = line.find(opening, start)
    return position if position < 0 else position + len(opening) - 1


def _unbalanced(state: Position, line: int, text: str, dialect: Dialect) -> StreamError:
    named = "double quote" if dialect.quote == '"' else f"quote {dialect.quote}"
    return StreamError(
        f"a {named} is opened here and never closed: close it, or remove it",
        file=state.name,
        line=line,
        column=open_quote(text, False, dialect) + 1,
    )
