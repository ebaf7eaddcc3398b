"""What commands print: aligned tables for people, JSON lines for programs.

JSON is one object on each line, one line for each thing, so that a long listing streams; keys are
stable, times ISO 8601 in UTC, ids text, durations seconds.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import base64
import enum
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
import click

from rocketjob.base.passwords import hide_passwords
from rocketjob.base.text import relative
from rocketjob.cli.session import fits_terminal
from rocketjob.states.transitions import KERNEL_STATES

STATE_STYLES = {
    "scheduled": "blue",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "paused": "yellow",
    "aborted": "magenta",
}
GAP = "  "
MIN_WIDTH = 12  # columns


def style_of(state: str) -> str:
    """Return the colour of a state, which may be a plugin's; none for one that nobody knows."""
    from rocketjob import application

    if state in STATE_STYLES or state in KERNEL_STATES:
        return STATE_STYLES.get(state, "")
    known = application.current().plugins.states.get(state)
    return known.color if known is not None else ""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        fixed: never cut, however narrow the terminal.
        right: aligned to the right.
        wraps: goes on in the next line, instead of being cut, on a narrow terminal.
        least: what can be cut is cut to this before any other column to less; numbers never.
        spare: left out where the terminal is too narrow for all, the highest first; 0: never.
    """

    title: str
    fixed: bool = False
    right: bool = False
    wraps: bool = False
    least: int = MIN_WIDTH
    spare: int = 0


class Cell(NamedTuple):
    """Text with a style, such as `red` or `bold`."""

    text: str
    style: str = ""


# --- tables ----------------------------------------------------------------------------------


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]]) -> None:
    """Print a table; on a terminal it is cut to the width and coloured, in a pipe it is not."""
    width = terminal_width() if fits_terminal() else None
    for line in table_lines(columns, rows, width):
        click.echo(line)


def table_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]], width: int | None
) -> Iterator[str]:
    """Yield the lines of a table, with its styles.

    Args:
        width: it is cut to; None: not at all.
    """
    head = [Cell(column.title, "bold") for column in columns]
    shown = [head, *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(_length(row[index].text) for row in shown) for index in range(len(columns))]
    if width is not None:
        kept = _kept(columns, widths, width)
        columns, widths = [columns[i] for i in kept], [widths[i] for i in kept]
        shown = [[row[i] for i in kept] for row in shown]
        _shrink(columns, widths, width)
    for row in shown:
        yield from _lines(columns, widths, row)


def terminal_width() -> int:
    """Return how many columns the terminal has."""
    import shutil

    return shutil.get_terminal_size().columns


def _cell(cell: Cell | str) -> Cell:
    return Cell(clean(cell)) if isinstance(cell, str) else Cell(clean(cell.text), cell.style)


def _length(text: str) -> int:
    """Return how many columns a string takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _kept(columns: Sequence[Column], widths: Sequence[int], limit: int) -> list[int]:
    """Return which columns are shown: spare ones only where the others keep what they need."""
    kept = list(range(len(columns)))
    needs = [w if c.fixed else min(w, c.least) for c, w in zip(columns, widths, strict=True)]
    for index in sorted(kept, key=lambda index: -columns[index].spare):
        if sum(needs[i] for i in kept) + len(GAP) * (len(kept) - 1) <= limit:
            break
        if columns[index].spare:
            kept.remove(index)
    return kept


def _shrink(columns: Sequence[Column], widths: list[int], limit: int) -> None:
    """Shorten the columns that can be cut, the last one first."""
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - limit
    for is_last in (False, True):
        for index in reversed(range(len(columns))):
            column = columns[index]
            if excess > 0 and not column.fixed and not (is_last and column.right):
                least = len("…") if is_last else column.least
                cut = max(0, min(excess, widths[index] - least))
                widths[index] -= cut
                excess -= cut


def _lines(columns: Sequence[Column], widths: Sequence[int], row: Sequence[Cell]) -> Iterator[str]:
    """Yield the lines of a row: one, or more where a column wraps."""
    parts = [
        _wrapped(cell.text, width) if column.wraps else [cut(cell.text, width)]
        for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    for number in range(max(len(part) for part in parts)):
        line = ""
        for column, cell, width, part in zip(columns, row, widths, parts, strict=True):
            text = part[number] if number < len(part) else ""
            padding = " " * (width - _length(text))
            before, after = (padding, "") if column.right else ("", padding)
            line += before + _style(text, cell.style) + after + GAP
        yield line.rstrip()


def cut(text: str, width: int) -> str:
    """Return text cut to a width, with an ellipsis at its end."""
    if _length(text) <= width:
        return text
    if width < 1:
        return ""
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(1, width)) or [""]


def _style(text: str, style: str) -> str:
    if not style or not text:
        return text
    return styled(text, **({style: True} if style in ("bold", "dim") else {"fg": style}))


def print_pairs(pairs: Iterable[tuple[str, str]], indent: str = "") -> None:
    """Print names and values, one pair on each line, aligned."""
    listed = list(pairs)
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        label = styled(f"{name:{width}}", dim=True)
        first, *rest = value.splitlines() or [""]
        click.echo(f"{indent}{label}  {clean(first)}".rstrip())
        for line in rest:
            click.echo(f"{indent}{'':{width}}  {clean(line)}".rstrip())


def print_heading(text: str) -> None:
    click.echo()
    click.echo(styled(text, bold=True))


def styled(text: str, **style: Any) -> str:
    """Return text with a style; click removes it again where there is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Return one line in which stored text can neither control the terminal nor show a password."""
    return _CONTROL.sub(_visible, hide_passwords(text))


def _visible(match: re.Match[str]) -> str:
    return " " if match[0] in "\n\r\t" else repr(match[0])[1:-1]


# --- times -----------------------------------------------------------------------------------


def moment(at: datetime | None) -> str:
    """Return a time for people: `2026-01-31 08:30:00 UTC (3m ago)`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({relative(at)})" if at else ""


def _iso(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


# --- JSON ------------------------------------------------------------------------------------


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line."""
    click.echo(to_json(value))


def to_json(value: Any, indent: int | None = None) -> str:
    """Return any value of a document as JSON, without passwords of URLs."""
    return json.dumps(plain(value), ensure_ascii=False, indent=indent)


def plain(value: Any) -> Any:
    """Return a value as types that JSON has."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return hide_passwords(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    if attrs.has(type(value)):
        return plain(attrs.asdict(value, recurse=False))
    return str(value)


_CONVERSIONS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (datetime, _iso),
    (date, lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (Decimal, str),
    (bytes, lambda value: base64.b64encode(value).decode()),
    (range, lambda value: {"start": value.start, "stop": value.stop, "step": value.step}),
    (re.Pattern, lambda value: value.pattern),
)


def as_text(value: Any) -> str:
    """Return a value for people: a string as it is, its own `str()` if it has one, else JSON."""
    if isinstance(value, list) and value and all(map(_has_words, value)):
        return "\n".join(map(str, value))
    text = str(value) if _has_words(value) else plain(value)
    return text if isinstance(text, str) else to_json(text)


def _has_words(value: Any) -> bool:
    return attrs.has(type(value)) and any(
        "__str__" in cls.__dict__ for cls in type(value).__mro__[:-1]
    )
