"""Parts of texts: what is typed is always meant literally, never as a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rocketjob.base.passwords import HIDDEN_IN_RUN
from rocketjob.jobs.search.grammar import Value
from rocketjob.jobs.search.scope import Scope
from rocketjob.store import Filter

_SHOWN = 60  # characters
_IN_CLEAR = rf"(?!{HIDDEN_IN_RUN})"
"""What follows up to a space has nothing in it that is shown to nobody."""


def containing(text: str) -> Filter:
    """Return the condition of a text that has another one in it, in any case."""
    return {"$regex": re.escape(text), "$options": "i"}


def containing_in_clear(text: str) -> Filter:
    """Return the condition of a text of people and programs that has another one in it.

    What stands in a URL with a password, which nobody is shown, is passed over: else it could be
    guessed letter by letter.
    """
    first, *rest = re.split(r"(\s)", text)
    pattern = rf"(?<!\S){_IN_CLEAR}\S*{re.escape(first)}"
    for space, word in zip(rest[::2], rest[1::2], strict=True):
        pattern += re.escape(space) + _IN_CLEAR + re.escape(word)
    return {"$regex": pattern, "$options": "i"}


def in_clear(condition: dict[str, Any]) -> dict[str, Any]:
    """Return a condition that no text with a URL with a password meets, for the same reason."""
    hidden = {"$regex": rf"(?<!\S){HIDDEN_IN_RUN}", "$options": "i"}
    return {**condition, "$not": hidden}


def beginning(text: str) -> Filter:
    """Return the condition of a text that begins with another one, in any case."""
    return {"$regex": f"^{re.escape(text)}", "$options": "i"}


def has_stars(scope: Scope, value: Value) -> bool:
    """Return whether a value says by stars that it is a part: `Import*`, `*.csv`.

    Raises:
        SearchError: a star stands where it means nothing.
    """
    if value.quoted or "*" not in value.text:
        return False
    if not value.text.strip("*"):
        raise scope.error(value, "a * needs something beside it, such as Import*")
    if "*" in _without_stars(value.text):
        raise scope.error(
            value, "a * stands for the rest at the beginning or end; to look for one, use quotes"
        )
    return True


def _without_stars(text: str) -> str:
    return text.removeprefix("*").removesuffix("*")


def with_stars(text: str) -> dict[str, Any]:
    """Return the condition of a text of which a part was given, in any case."""
    first, last = "" if text.startswith("*") else "^", "" if text.endswith("*") else "$"
    return {"$regex": f"{first}{re.escape(_without_stars(text))}{last}", "$options": "i"}


def any_of(clauses: list[Filter]) -> Filter:
    """Return the filter of what fits one of some filters."""
    return clauses[0] if len(clauses) == 1 else {"$or": clauses}


def quoted(values: Iterable[Value]) -> str:
    """Return values as they are shown in words."""
    return " or ".join(f'"{short(value.text)}"' for value in values)


def short(text: str) -> str:
    """Return a text, cut to what fits into words."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
