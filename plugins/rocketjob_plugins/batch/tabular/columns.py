"""Columns: what a header line calls them, and which ones a row must and may have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rocketjob.base.text import nearest
from rocketjob_plugins.batch.streams.errors import StreamError

REJECTED = "__rejected__"
CLEANSERS = ("default", "none")
_SPACES, _DASHES = re.compile(r"\s+"), re.compile(r"-+")


def cleanse(name: str) -> str:
    """Return a column's name in its usual form: `First Name` is `first_name`."""
    name = unicodedata.normalize("NFC", name.strip().lower())
    name = _DASHES.sub("_", _SPACES.sub("_", name))
    return "".join([c for c in name if c == "_" or c.isalnum() or _is_mark(c)])


def _is_mark(character: str) -> bool:
    """Return whether it belongs to the letter before it, as vowel signs of Hindi do."""
    return unicodedata.category(character).startswith("M")


def near(names: Iterable[str], known: Iterable[str]) -> str:
    """Return a hint at what was meant, to be put behind the names."""
    known = list(known)
    guesses = [near for name in names if (near := nearest(name, known))]
    return f" (did you mean {', '.join(guesses)}?)" if guesses else ""


class ColumnRules:
    """Which columns there may and must be, in a header line as in a row that names its values."""

    def __init__(
        self,
        allowed: Sequence[str] | None = None,
        required: Sequence[str] | None = None,
        skip_unknown: bool = False,
        header_cleanser: str = "default",
    ) -> None:
        if header_cleanser not in CLEANSERS:
            raise StreamError(f"header_cleanser must be default or none: {header_cleanser!r}")
        self.allowed, self.required = allowed, tuple(required or ())
        self._known = None if allowed is None else {*allowed, *map(_composed, allowed)}
        self._skip_unknown = skip_unknown
        self._cleanse = cleanse if header_cleanser == "default" else None

    @property
    def is_open(self) -> bool:
        """Whether any row is right."""
        return self._known is None and not self.required

    # --- names -------------------------------------------------------------------------------

    def of_header(self, given: Sequence[str]) -> list[str]:
        """Return the columns of a header line; those that are left out begin with `REJECTED`.

        Raises:
            StreamError: one is there twice, is not allowed, is missing or has no name.
        """
        names = [self._cleanse(name) for name in given] if self._cleanse else list(given)
        for number, name in enumerate(names, 1):
            self._check_name(number, name, given[number - 1])
        return self._checked(names)

    def of_columns(self, given: Iterable[str]) -> list[str]:
        """Return columns that were set, as a header line with these names would give them."""
        names = list(given)
        if not all(isinstance(name, str) and name for name in names):
            raise StreamError(f"columns must be a list of names, not {given!r}")
        return self._checked(names)

    def _check_name(self, number: int, name: str, given: str) -> None:
        if not name and not self._skip_unknown:
            shown = f" ({given!r} has no letter or digit)" if given else ""
            raise StreamError(
                f"the header names no column {number}{shown}: name it, or leave it out with "
                "skip_unknown=True",
                column=number,
            )
        if name.startswith(REJECTED):
            raise StreamError(
                f"the column {name} has a reserved name: what is left out begins with {REJECTED}",
                column=name,
            )

    def _checked(self, names: list[str]) -> list[str]:
        first: dict[str, int] = {}
        for number, name in enumerate(names, 1):
            if name in first and name and not name.startswith(REJECTED):
                raise StreamError(
                    f"the column {name} is there twice, at {first[name]} and {number}: rename one",
                    column=name,
                )
            first.setdefault(name, number)
        self._check_required(names)
        return self._without_unknown(names)

    def _without_unknown(self, names: list[str]) -> list[str]:
        """Mark the columns that are left out; each keeps its own name."""
        left_out = [not name or self._is_unknown(name) for name in names]
        unknown = [name for name, out in zip(names, left_out, strict=True) if out and name]
        self._check_unknown(unknown)
        if self.allowed is not None and all(left_out) and names:
            raise self._nothing_known()
        marked: list[str] = []
        for number, (name, out) in enumerate(zip(names, left_out, strict=True), 1):
            mark = f"{REJECTED}{name}"
            if out and (mark in marked or (not name and self.allowed is None)):
                mark = f"{mark}{number}"
            marked.append(mark if out else name)
        return marked

    # --- rows --------------------------------------------------------------------------------

    def row(self, row: Any) -> Any:
        """Return a row that names its values, without those that are left out.

        Raises:
            StreamError: a column is not allowed or is missing, or nothing is named in it.
        """
        if self.is_open:
            return row
        if not isinstance(row, Mapping):
            raise StreamError(
                f"is {type(row).__name__} and not a row with columns, as allowed_columns and "
                "required_columns need it"
            )
        self._check_required(row)
        unknown = [name for name in row if self._is_unknown(name)]
        if not unknown:
            return row
        self._check_unknown(unknown)
        if len(unknown) == len(row):
            raise self._nothing_known()
        return {name: value for name, value in row.items() if name not in unknown}

    # --- checks ------------------------------------------------------------------------------

    def _is_unknown(self, name: str) -> bool:
        return self._known is not None and not (name in self._known or name.startswith(REJECTED))

    def _check_unknown(self, unknown: Sequence[str]) -> None:
        if unknown and not self._skip_unknown:
            allowed = self.allowed or ()
            raise StreamError(
                f"unknown columns: {', '.join(unknown)}{near(unknown, allowed)}; "
                f"allowed are {', '.join(allowed)}; skip_unknown=True leaves the others out",
                column=unknown[0],
            )

    def _check_required(self, names: Iterable[str]) -> None:
        missing = [name for name in self.required if name not in names]
        if missing:
            raise StreamError(
                f"columns are missing: {', '.join(missing)}; there are {', '.join(names)}",
                column=missing[0],
            )

    def _nothing_known(self) -> StreamError:
        return StreamError(f"no column is known; allowed are {', '.join(self.allowed or ())}")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
