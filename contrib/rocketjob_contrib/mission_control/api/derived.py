"""Operations that are made of the routes of pages: so no change that a page offers is missing.

A change that has no operation of its own is one at the same path below `/api/v1`: its body has the
fields of the page's form, as strings. The very view of the page is called, so who may, what is
checked and what is audited is the same. Pages of plugins are there in this way, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rocketjob_contrib.mission_control.api.operations import Operation
from rocketjob_contrib.mission_control.api.schemas import (
    TEXT,
    maybe,
    resource,
    several,
    text,
)
from rocketjob_contrib.mission_control.routes import Handler, Route
from rocketjob_contrib.mission_control.sections import Section

LONGEST = 1_000_000  # characters of a field
FIELDS = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [text(LONGEST), several(text(LONGEST), 10_000)],
    },
}
DONE = resource(
    messages=several(resource(kind=TEXT, text=TEXT, link=maybe(TEXT))), location=maybe(TEXT)
)
METHODS = ("POST", "PUT", "PATCH", "DELETE")


def twins(
    routes: list[tuple[Section, Route]], operations: list[tuple[Section | None, Operation]]
) -> Iterator[tuple[Section, Operation]]:
    """Yield an operation for each change of a page that no operation does."""
    known = [each for _, each in operations]
    taken = {(each.method, each.path) for each in known}
    for section, route in routes:
        method = next((each for each in METHODS if each in route.methods), None)
        if method is None or any(each.does(route.path, method) for each in known):
            continue
        if (method, route.path) not in taken:
            taken.add((method, route.path))
            yield section, _twin(section, route, method)


def _twin(section: Section, route: Route, method: str) -> Operation:
    words = re.findall(r"\w+", f"{method.lower()} {route.path}")
    return Operation(
        path=route.path,
        view=_answer(route.view),
        permission=route.permission,
        methods=(method,),
        target=route.target,
        name="_".join(words),
        summary=f"Do what {method} {route.path} of the pages of {section.title} does.",
        returns=DONE,
        body=FIELDS,
        is_derived=True,
    )


def _answer(do: Handler) -> Handler:
    def answer(view: Any) -> Any:
        done = view.by_page(do, _pairs(view.body))
        if done.response is not None:
            return done.response
        said = [{"kind": m.kind, "text": m.text, "link": m.link} for m in done.messages]
        return view.json({"messages": said, "location": done.path})

    return answer


def _pairs(sent: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in sent.items():
        if name != "reason":  # which is there already
            yield from ((name, each) for each in (value if isinstance(value, list) else [value]))
