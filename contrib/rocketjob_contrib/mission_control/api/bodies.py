"""What a program sends: JSON within bounds, and parameters in the URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from rocketjob.model.types import exact_json
from rocketjob_contrib.mission_control.api.problems import Fault, Problem, invalid
from rocketjob_contrib.mission_control.api.schemas import FREE, Schema, faults
from rocketjob_contrib.mission_control.requests import body_of

MOST_FAULTS = 20


async def read_json(request: Request, limit: int) -> dict[str, Any]:
    """Return the object that was sent; an empty one if nothing was.

    Raises:
        TooLarge: it is longer than `limit` bytes.
        Problem: it is not JSON, or has what cannot be stored.
    """
    content = await body_of(request, limit)
    if not content:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, f"A body must be sent as application/json, not as {kind or 'nothing'}")
    try:
        value = exact_json.loads(content)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise Problem(400, "The body is nested too deeply") from None
    except UnicodeError:  # bytes that are not UTF-8, and halves of characters, which no store takes
        raise Problem(400, "The body has something that is not a character of UTF-8") from None
    except ValueError as error:
        raise Problem(400, f"The body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(400, "The body must be a JSON object")
    return value


def checked(schema: Schema | None, sent: dict[str, Any]) -> None:
    """Refuse a body that is not as the schema says.

    Raises:
        Problem: it names each fault with its place.
    """
    if schema is None:
        schema = {**FREE, "additionalProperties": False}
    found = [
        Fault(*each) for each, _ in zip(faults(schema, sent), range(MOST_FAULTS), strict=False)
    ]
    if found:
        raise invalid(found)


def parameters(known: Mapping[str, Schema], query: QueryParams) -> dict[str, Any]:
    """Return the parameters of a URL by their types.

    Raises:
        Problem: one is not known, is there twice, or makes no sense.
    """
    values: dict[str, Any] = {}
    wrong: list[Fault] = []
    for name, text in query.multi_items()[: len(known) + MOST_FAULTS]:
        if name not in known:
            there = f"there is {', '.join(known)}" if known else "there are none here"
            wrong.append(Fault(name[:100], f"is not a parameter; {there}"))
        elif name in values:
            wrong.append(Fault(name, "is there twice"))
        else:
            values[name] = _parsed(known[name], text)
            wrong += [Fault(name, why) for _, why in faults(known[name], values[name])]
    if wrong:
        raise Problem(400, "; ".join(f"{each.pointer} {each.detail}" for each in wrong), wrong)
    return values


def _parsed(schema: Schema, text: str) -> Any:
    """Return the value of a text; the text itself where it has none, which is then a fault."""
    if schema.get("type") == "integer" and len(text) < 19:
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdecimal() else text
    return text
