"""What a batch job's `perform` may return besides a plain value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Result:
    """A value for one output category.

    Args:
        value: stored as it is.
        category: name of an output category.
    """

    __slots__ = ("category", "value")

    def __init__(self, value: Any, *wrong: Any, category: str = "main") -> None:
        if wrong:
            raise TypeError(
                "Result takes one positional argument, the value: "
                "write Result(value, category='invalid')"
            )
        self.value, self.category = value, category

    def __repr__(self) -> str:
        return f"Result({self.value!r}, category={self.category!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return (self.value, self.category) == (other.value, other.category)

    __hash__ = None  # type: ignore[assignment]


class Results(list[Result]):
    """Several results of one record, for whichever categories."""

    def __init__(self, results: Iterable[Result] = ()) -> None:
        super().__init__(results)
        for result in self:
            if not isinstance(result, Result):
                raise TypeError(f"Results holds Result(value, category=...), not {result!r}")
