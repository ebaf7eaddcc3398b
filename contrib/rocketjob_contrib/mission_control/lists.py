"""Lists: what is asked of one by its URL, and the page of rows that answers it.

The URL is the state: `?q=import&sort=-priority,class&page=2&size=25`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from rocketjob.base.text import did_you_mean
from rocketjob_contrib.mission_control.errors import BadRequest

SIZES = (10, 25, 50, 100)
COUNTED = 10_000
"""Where counting stops: nobody reads more, and counting millions takes long."""
DEEPEST = 1_000_000  # rows that are skipped at most
LONGEST_SEARCH = 1_000


@attrs.frozen
class Count:
    """A number of rows, or that there are at least so many."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"

    @classmethod
    def of(cls, number: int) -> Count:
        """Return a number that was counted up to `COUNTED` + 1."""
        return cls(COUNTED, True) if number > COUNTED else cls(number)


@attrs.frozen
class Column:
    """One column.

    Attributes:
        key: its name in the URL, and for the template.
        sort: the stored field that it is sorted by; None: it cannot be.
        number: whether it is aligned to the right.
    """

    key: str
    title: str
    sort: str | None = None
    number: bool = False


@attrs.frozen
class Listing:
    """What a list shows.

    Attributes:
        order: the default order, by stored fields; `-` in front of a name for descending.
        searched: the stored fields that a search looks at.
    """

    columns: tuple[Column, ...]
    order: tuple[str, ...]
    searched: tuple[str, ...] = ()

    def column(self, key: str) -> Column | None:
        return next((column for column in self.columns if column.key == key), None)


@attrs.frozen
class Asked:
    """What is asked of a list.

    Attributes:
        text: to search for.
        sorting: keys of columns, each with whether it descends; none for the default order.
        page: from 1.
        size: rows of a page.
        kept: further parameters of the page, which its links keep.
    """

    listing: Listing
    text: str = ""
    sorting: tuple[tuple[str, bool], ...] = ()
    page: int = 1
    size: int = SIZES[0]
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        """Return the stored fields to sort by; the id last, so that no page has a row twice."""
        names = []
        for key, descends in self.sorting:
            column = self.listing.column(key)
            assert column is not None and column.sort is not None
            names.append(f"-{column.sort}" if descends else column.sort)
        names = names or list(self.listing.order)
        if any(name.lstrip("-") == "_id" for name in names):
            return tuple(names)
        return (*names, "-_id" if names[-1][0] == "-" else "_id")  # as an index can be read

    @property
    def skip(self) -> int:
        return (self.page - 1) * self.size

    def search_filter(self) -> dict[str, Any] | None:
        """Return the filter of what is searched for: a part of any of the fields, in any case."""
        if not self.text:
            return None
        condition = {"$regex": re.escape(self.text), "$options": "i"}
        return {"$or": [{field: condition} for field in self.listing.searched]}

    def query(self, **changes: Any) -> dict[str, str]:
        """Return the parameters of the same list with some of them changed."""
        asked = attrs.evolve(self, **changes)
        sort = ",".join(f"{'-' if down else ''}{key}" for key, down in asked.sorting)
        values = {
            **dict(asked.kept),
            "q": asked.text,
            "sort": sort,
            "page": str(asked.page) if asked.page > 1 else "",
            "size": str(asked.size) if asked.size != SIZES[0] else "",
        }
        return {name: value for name, value in values.items() if value}

    def sorted_by(self, key: str) -> str | None:
        """Return `ascending` or `descending`, or None if it is not sorted by this column."""
        for name, descends in self.sorting:
            if name == key:
                return "descending" if descends else "ascending"
        return None

    def sort_link(self, key: str) -> dict[str, str]:
        """Return the parameters that a click on a column's title leads to."""
        descends = self.sorted_by(key) == "ascending"
        return self.query(sorting=((key, descends),), page=1)


def asked_of(listing: Listing, query: Mapping[str, str]) -> Asked:
    """Return what the parameters of a URL ask of a list.

    Raises:
        BadRequest: they make no sense; the message says which.
    """
    text = query.get("q", "").strip()
    if len(text) > LONGEST_SEARCH:
        raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters, not {len(text):,}")
    size = _whole(query, "size", SIZES[0])
    if size not in SIZES:
        raise BadRequest(f"A page has {', '.join(map(str, SIZES))} rows, not {size}")
    page = _whole(query, "page", 1)
    if page < 1 or (page - 1) * size > DEEPEST:
        raise BadRequest(f"There is no page {page}")
    return Asked(listing, text, _sorting(listing, query.get("sort", "")), page, size)


def found_among(
    asked: Asked, rows: Sequence[Any], field_of: Callable[[Any, str], Any], total: Count
) -> Found:
    """Return the page of a list whose rows have all been read, since there are few.

    Args:
        field_of: returns a field of a row, by the name that the listing sorts and searches by.
        total: how many there are without the search.
    """
    text = asked.text.casefold()
    matching = [
        row
        for row in rows
        if not text
        or any(text in str(field_of(row, name) or "").casefold() for name in asked.listing.searched)
    ]
    for name in reversed(asked.order):
        key = name.removeprefix("-")
        matching.sort(key=lambda row: _sortable(field_of(row, key)), reverse=name[0] == "-")
    shown = matching[asked.skip : asked.skip + asked.size]
    more = len(matching) > asked.skip + asked.size
    return Found(asked, shown, total, Count(len(matching)), more)


def _sortable(value: Any) -> tuple[bool, Any]:
    """Return a value to sort by: None is before all others, as in a store."""
    return (value is not None, value if value is not None else 0)


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise BadRequest(f"{name} must be a number, not {text[:50]}")
    return int(text)


def _sorting(listing: Listing, text: str) -> tuple[tuple[str, bool], ...]:
    sorting: dict[str, bool] = {}
    for part in filter(None, text.split(",")):
        key = part.removeprefix("-")
        column = listing.column(key)
        if column is None or column.sort is None:
            keys = [c.key for c in listing.columns if c.sort]
            hint = did_you_mean(key, keys, f"those that can are {', '.join(keys)}")
            raise BadRequest(f"A list here cannot be sorted by {key[:50]}; {hint}")
        sorting.setdefault(key, part.startswith("-"))
    return tuple(sorting.items())


@attrs.frozen
class Found:
    """A page of a list.

    Attributes:
        total: how many there are without the search.
        matching: how many there are with it.
        more: whether there is a page after this one.
        remark: what is missing, if something is.
        refused: whether nothing was looked for, as the search cannot be understood.
    """

    asked: Asked
    rows: Sequence[Any]
    total: Count
    matching: Count
    more: bool
    remark: str | None = None
    refused: bool = False

    @property
    def first(self) -> int:
        """The number of the first row, from 1; 0 if there is none."""
        return self.asked.skip + 1 if self.rows else 0

    @property
    def last(self) -> int:
        return self.asked.skip + len(self.rows)

    @property
    def pages(self) -> int:
        """The number of the last page that is known."""
        counted = -(-self.matching.number // self.asked.size) or 1
        return max(counted, self.asked.page + self.more) if self.matching.more else counted

    def numbers(self) -> list[int | None]:
        """Return the numbers of pages to offer; None for a gap."""
        near = {1, self.pages, *range(self.asked.page - 2, self.asked.page + 3)}
        shown = sorted(number for number in near if 1 <= number <= self.pages)
        numbers: list[int | None] = []
        for number in shown:
            if numbers and number - (numbers[-1] or 0) > 1:
                numbers.append(None)
            numbers.append(number)
        return numbers
