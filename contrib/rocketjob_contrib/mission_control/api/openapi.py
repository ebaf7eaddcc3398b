"""The OpenAPI document, made of the operations themselves.

`scripts/openapi.py` writes the one of the repository, which has the operations that Mission Control
brings; the one of a site, `/api/v1/openapi.json`, has those of its plugins besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from rocketjob_contrib.mission_control.api.operations import PREFIX, Operation
from rocketjob_contrib.mission_control.api.problems import MEDIA_TYPE
from rocketjob_contrib.mission_control.api.resources import RESOURCES
from rocketjob_contrib.mission_control.api.schemas import TEXT, Schema, ref, text

VERSION = "1.0.0"  # of the API, not of the package
ABOUT = (
    "Everything that the pages of Mission Control can do, with the same roles. Changes are "
    "recorded in the audit. See docs/web-api.md."
)
ID = text(100, least=1, pattern="^[^/]+$")
NUMBERS = ("slice", "index")  # parts of a path that are numbers
SEEN, ANY_OR_SEEN = r'^"[!#-~]+"$', r'^(\*|"[!#-~]+")$'
ETAG = {"ETag": {"description": "for If-Match", "schema": TEXT}}


def document(operations: Iterable[Operation], root: str = "") -> dict[str, Any]:
    """Return the document.

    Args:
        root: where Mission Control is mounted.
    """
    paths: dict[str, dict[str, Any]] = {}
    for each in sorted(operations, key=lambda each: (each.path, each.method)):
        named = _in_path(each.path)
        path = paths.setdefault(each.path, {"parameters": named} if named else {})
        path[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "RocketJob Mission Control", "version": VERSION, "description": ABOUT},
        "servers": [{"url": root + PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": RESOURCES,
            "responses": {"Problem": _answer("What is wrong.", ref("Problem"), (MEDIA_TYPE,))},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0} if name in NUMBERS else ID,
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _operation(each: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "description": f"Permission: `{each.permission}`.",
        "tags": [each.path.split("/")[1]],
        "parameters": [
            *({"name": name, "in": "query", "schema": s} for name, s in each.query.items()),
            *([_if_match(each.match == "must")] if each.match != "no" else []),
        ],
        "responses": {
            str(each.status if each.returns is not None else 204): _success(each),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if each.body is not None:
        described["requestBody"] = {
            "required": bool(each.body.get("required")),
            "content": {"application/json": {"schema": each.body}},
        }
    return {name: value for name, value in described.items() if value != []}


def _if_match(required: bool) -> dict[str, Any]:
    return {
        "name": "If-Match",
        "in": "header",
        "required": required,
        "description": "the ETag of what was seen: nothing is done if it is another now",
        "schema": text(200, pattern=SEEN if required else ANY_OR_SEEN),
    }


def _success(each: Operation) -> dict[str, Any]:
    if each.returns is None:
        return {"description": "It is done."}
    what = "It is done." if each.changes else "What was asked for."
    answer = _answer(what, each.returns, each.media_types)
    return {**answer, **({"headers": ETAG} if each.has_etag else {})}


def _answer(what: str, schema: Schema, media_types: Iterable[str]) -> dict[str, Any]:
    return {"description": what, "content": {each: {"schema": schema} for each in media_types}}


def text_of(operations: Iterable[Operation]) -> str:
    """Return the text of the file in the repository: of the operations that are not derived."""
    own = [each for each in operations if not each.is_derived]
    return json.dumps(document(own), indent=1, ensure_ascii=False) + "\n"
