"""Lines in which every value has its place: `layout` says how long each is.

format_options={
    "layout": [
        {"key": "name", "size": 20},
        {"key": "age", "size": 3, "type": "integer"},
        {"size": 2},                                        # filler
        {"key": "amount", "size": 10, "type": "float", "decimals": 2},
        {"key": "note", "size": "remainder"},
    ]
}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from typing import Any, ClassVar

import attrs

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.texts import text_of
from rocketjob_plugins.batch.tabular.formats import check_options, parse_each

REMAINDER = "remainder"
TYPES = ("string", "integer", "float")
_KEYS = {"key", "size", "type", "decimals", "cut"}
_PADDING = " "
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
MOST_DIGITS = 308  # of a float, before its point
_EXACT = Context(prec=2 * MOST_DIGITS)  # whatever the job has made of its own context
# Of a sum of floats, such as 0.1 + 0.2. `Decimal(...)` would set a context for all jobs.
_NOISE = _EXACT.create_decimal("1e-9")


@attrs.frozen
class Column:
    """One value: `size` is None for the remainder of the line; without a key it is filler."""

    key: str | None
    size: int | None
    type: str
    decimals: int
    cut: bool

    def parse(self, text: str) -> Any:
        stripped = text.strip(_PADDING)
        if self.type == "string":
            return stripped
        if not stripped:
            return None
        number = self._number(stripped)
        if self.type == "integer":
            return int(number)
        value = float(number)
        if Decimal(repr(value)) != number:
            raise self._error(f"{stripped!r} has too many digits for a float: use the type string")
        return value

    def render(self, value: Any) -> str:
        if self.type == "string" or value is None:
            return self._text("" if value is None else text_of(value))
        text = self._digits(value)
        if self.size is not None and len(text) > self.size:
            raise self._error(f"{value!r} is too long for {self.size} characters")
        return text

    def _text(self, text: str) -> str:
        if "\n" in text or "\r" in text:
            raise self._error("a line break cannot be written in a fixed width")
        if self.size is None:
            return text
        if len(text) > self.size and not self.cut and len(text.rstrip(_PADDING)) > self.size:
            raise self._error(
                f'the text has {len(text)} characters, and there are {self.size}: "cut": True in '
                "the layout cuts it"
            )
        return text[: self.size].ljust(self.size)

    def _digits(self, value: Any) -> str:
        number, width = self._number(value), self.size or 0
        if self.type == "integer":
            return format(int(number), f"0{width}d")
        rounded = number.quantize(Decimal(1).scaleb(-self.decimals), context=_EXACT)
        if abs(_EXACT.subtract(number, rounded)) > _NOISE * max(Decimal(1), abs(number)):
            raise self._error(f"{value!r} has more than {self.decimals} decimals: round it")
        return format(rounded, f"0{width}.{self.decimals}f")

    def _number(self, value: Any) -> Decimal:
        if not isinstance(value, bool):
            text = text_of(value)
            number = Decimal(text) if _NUMBER.fullmatch(text) else None
            if number is not None and number.adjusted() > MOST_DIGITS:
                raise self._error("the number is too large")
            if number is not None and (self.type == "float" or number == int(number)):
                return number
        kind = "whole number" if self.type == "integer" else "number"
        raise self._error(f"{value!r} is not a {kind}")

    def _error(self, problem: str) -> StreamError:
        return StreamError(problem, column=self.key)


class Fixed:
    """Text is left-justified, numbers are padded with zeros on the left; both have to fit.

    Blanks at both ends of a text are padding. A line must be exactly as long as the layout, unless
    its last size is `remainder`.
    """

    name: ClassVar[str] = "fixed"
    has_header: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        check_options(self.name, options, ("layout",))
        self.layout = _layout(options.get("layout"))
        self._open_end = self.layout[-1].size is None
        self._length = sum(column.size or 0 for column in self.layout)
        self._parsers = list(_parsers(self.layout))

    @property
    def columns(self) -> list[str]:
        """The names, in the order of the layout."""
        return [column.key for column in self.layout if column.key is not None]

    def fits(self, line: str) -> bool:
        """Return whether a line is as long as the layout."""
        return len(line) == self._length or (self._open_end and len(line) > self._length)

    def parse(self, line: str) -> dict[str, Any]:
        if not self.fits(line):
            least = "at least " if self._open_end else ""
            raise StreamError(f"has {len(line)} characters and must have {least}{self._length}")
        return {key: parse(line[start:end]) for key, start, end, parse in self._parsers}

    def parse_many(self, lines: list[str]) -> list[dict[str, Any]]:
        return parse_each(self, lines)

    def render(self, row: Any) -> str:
        values = row if isinstance(row, Mapping) else self._named(row)
        if values and not any(key in values for key in self.columns):
            raise StreamError(f"has none of the columns {', '.join(self.columns)}")
        return "".join([column.render(values.get(column.key or "")) for column in self.layout])

    def _named(self, row: Any) -> dict[str, Any]:
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise StreamError(f"a row must be a dict or a list, not {type(row).__name__}")
        values, columns = list(row), self.columns
        if len(values) != len(columns):
            raise StreamError(f"has {len(values)} values, and there are {len(columns)} columns")
        return dict(zip(columns, values, strict=True))


def _parsers(
    layout: list[Column],
) -> Iterable[tuple[str, int, int | None, Callable[[str], Any]]]:
    start = 0
    for column in layout:
        end = None if column.size is None else start + column.size
        if column.key is not None:
            yield column.key, start, end, column.parse
        start = end or start


def _layout(given: Any) -> list[Column]:
    if not isinstance(given, list | tuple) or not given:
        raise StreamError(
            'the format fixed needs its layout: format_options={"layout": [{"key": "name", '
            '"size": 20}, ...]}'
        )
    layout = [_column(number, entry) for number, entry in enumerate(given, 1)]
    if any(column.size is None for column in layout[:-1]):
        raise StreamError("layout: only the last size can be remainder")
    keys = [column.key for column in layout if column.key is not None]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise StreamError(f"layout: the key {twice[0]} is there twice")
    return layout


def _column(number: int, given: Any) -> Column:
    where = f"layout, entry {number}"
    if not isinstance(given, Mapping) or set(given) - _KEYS:
        raise StreamError(
            f"{where}: must have size, and may have key, type, decimals and cut: {given}"
        )
    size, kind, decimals = given.get("size"), given.get("type", "string"), given.get("decimals", 2)
    if size != REMAINDER and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise StreamError(f"{where}: size must be a whole number above 0, or remainder: {size!r}")
    if kind not in TYPES:
        raise StreamError(f"{where}: type must be one of {', '.join(TYPES)}: {kind!r}")
    if not isinstance(decimals, int) or isinstance(decimals, bool) or decimals < 0:
        raise StreamError(f"{where}: decimals must be a whole number: {decimals!r}")
    key, cut = given.get("key"), given.get("cut", False)
    if not isinstance(cut, bool):
        raise StreamError(f"{where}: cut must be True or False: {cut!r}")
    length = None if size == REMAINDER else size
    return Column(None if key is None else str(key), length, kind, decimals, cut)
