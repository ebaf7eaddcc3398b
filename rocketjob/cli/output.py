"""What commands print: aligned tables for people, JSON lines for programs.

JSON is one object on each line, one line for each thing, so that a long listing streams; keys are
stable, times ISO 8601 in UTC, ids text, durations seconds.
"""

from __future__ import annotations

import base64
import enum
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
import click

from rocketjob import clock
from rocketjob.cli.session import fits_terminal

STATE_STYLES = {
    "scheduled": "blue",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "paused": "yellow",
    "aborted": "magenta",
}
UNLIMITED = 100_000  # columns: where nobody looks nothing is cut


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        fixed: never cut, however narrow the terminal.
        right: aligned to the right.
        wraps: goes on in the next line, instead of being cut, on a narrow terminal.
    """

    title: str
    fixed: bool = False
    right: bool = False
    wraps: bool = False


class Cell(NamedTuple):
    """A text with a style, such as `red` or `bold`."""

    text: str
    style: str = ""


# --- tables ----------------------------------------------------------------------------------


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]]) -> None:
    """Print a table; on a terminal it is cut to the width and coloured, in a pipe it is not."""
    on_terminal = fits_terminal()
    text = _render(columns, rows, click_width() if on_terminal else UNLIMITED, on_terminal)
    for line in text.splitlines():
        click.echo(line.rstrip())


def click_width() -> int:
    import shutil

    return max(40, shutil.get_terminal_size().columns)


def _render(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]], width: int, styled: bool
) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    shown = [[_text(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        widest = max([len(column.title), *(row[index].cell_len for row in shown)])
        table.add_column(
            column.title,
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            justify="right" if column.right else "left",
            min_width=widest if column.fixed else len(column.title),
        )
    for row in shown:
        table.add_row(*row)
    out = StringIO()
    no_color = bool(os.environ.get("NO_COLOR"))
    Console(file=out, width=width, force_terminal=styled, no_color=no_color).print(table)
    return out.getvalue()


def _text(cell: Cell | str) -> Any:
    from rich.text import Text

    if isinstance(cell, str):
        return Text(clean(cell))
    return Text(clean(cell.text), style=cell.style)


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
    """Return a text with a style; click takes it off again where there is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Return one line in which a stored text cannot steer the terminal."""
    return _CONTROL.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    return " " if found[0] in "\n\r\t" else repr(found[0])[1:-1]


# --- times -----------------------------------------------------------------------------------


def relative(at: datetime | None) -> str:
    """Return how long ago, or in how long: `3m ago`, `in 2h`."""
    if at is None:
        return ""
    seconds = clock.now().timestamp() - at.timestamp()
    return f"in {span(-seconds)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """Return a duration in its largest unit, such as `3m`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


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
    """Return any value of a document as JSON."""
    return json.dumps(plain(value), ensure_ascii=False, indent=indent)


def plain(value: Any) -> Any:
    """Return a value in what JSON has."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
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
    """Return a value for people: a text as it is, anything else as JSON."""
    found = plain(value)
    return found if isinstance(found, str) else to_json(found)
