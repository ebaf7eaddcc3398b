"""Pages of lists by cursors: whatever comes or goes meanwhile, no row is there twice.

A cursor names the list and the last row of a page; to programs it is only text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bson import ObjectId
from starlette.responses import Response

from rocketjob_contrib.mission_control.api.problems import Problem

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView

T = TypeVar("T")
DEFAULT = 50  # rows of a page


def size_of(view: ApiView) -> int:
    """Return how many rows are wanted."""
    size: int = view.params.get("limit", DEFAULT)
    return size


def cursor(list_name: str, last: Any) -> str:
    """Return the cursor of the page that begins behind a row."""
    return base64.urlsafe_b64encode(f"{list_name}:{last}".encode()).decode().rstrip("=")


def after(view: ApiView, list_name: str, parse: Callable[[str], T]) -> T | None:
    """Return behind which row the page begins; None for the first page.

    Raises:
        Problem: the cursor is not one of this list.
    """
    text = view.params.get("cursor")
    if text is None:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
        name, _, last = plain.partition(":")
        if name == list_name:
            return parse(last)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise Problem(400, "cursor is not one that this list has given as `next`")


def number(text: str) -> int:
    """Return a number of a cursor.

    Raises:
        ValueError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError(text)
    return int(text)


def object_id(text: str) -> ObjectId:
    """Return an id of a cursor.

    Raises:
        ValueError: it is none.
    """
    if not ObjectId.is_valid(text):
        raise ValueError(text)
    return ObjectId(text)


def page(
    view: ApiView,
    list_name: str,
    found: Sequence[T],
    as_json: Callable[[T], Any],
    key: Callable[[T], Any],
) -> Response:
    """Return a page.

    Args:
        found: the rows, and one more where there is another page.
        key: of a row, for the cursor.
    """
    size = size_of(view)
    rows = found[:size]
    more = cursor(list_name, key(rows[-1])) if len(found) > size else None
    return view.json({"data": [as_json(row) for row in rows], "next": more})


def page_of_few(
    view: ApiView, list_name: str, rows: Iterable[T], as_json: Callable[[T], Any]
) -> Response:
    """Return a page of a list that is read whole, since it is short; by the place of each row."""
    begin = after(view, list_name, number) or 0
    numbered = list(enumerate(rows, 1))[begin : begin + size_of(view) + 1]
    return page(view, list_name, numbered, lambda each: as_json(each[1]), lambda each: each[0])
