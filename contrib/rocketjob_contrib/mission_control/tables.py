"""Lists as JSON, in the form that the tables of the Ruby version asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.lists import COUNTED, SIZES, Asked, Found, Listing, asked_of


def asked_by_table(listing: Listing, query: Mapping[str, str]) -> Asked:
    """Return what a table asks of a list.

    Raises:
        BadRequest: it makes no sense; the message says what.
    """
    size, start = _number(query, "length", SIZES[0]), _number(query, "start", 0)
    size = COUNTED if size == -1 else size
    if not 1 <= size <= COUNTED or start < 0:
        raise BadRequest(f"length must be from 1 to {COUNTED}, or -1; start 0 or more")
    plain = {"q": query.get("search[value]", query.get("q", ""))}
    index = query.get("order[0][column]")
    if index is not None:
        plain["sort"] = _column(listing, query, index)
    asked = asked_of(listing, plain)
    return Asked(listing, asked.text, asked.sorting, start // size + 1, size)


def as_table(
    query: Mapping[str, str], found: Found, as_json: Callable[[Any], dict[str, Any]]
) -> Response:
    """Return a page of a list as a table wants it."""
    return JSONResponse(
        {
            "draw": _number(query, "draw", 0),
            "recordsTotal": found.total.number,
            "recordsFiltered": found.matching.number,
            "data": [as_json(row) for row in found.rows],
        }
    )


def _column(listing: Listing, query: Mapping[str, str], index: str) -> str:
    if not (re.fullmatch(r"\d{1,4}", index, re.ASCII) and int(index) < len(listing.columns)):
        raise BadRequest(f"There is no column {index[:20]}: a list here has {len(listing.columns)}")
    down = "-" if query.get("order[0][dir]") == "desc" else ""
    return down + listing.columns[int(index)].key


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    try:
        return int(text[:10]) if text else default
    except ValueError:
        raise BadRequest(f"{name} must be a number, not {text[:50]}") from None
