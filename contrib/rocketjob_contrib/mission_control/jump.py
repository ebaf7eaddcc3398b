"""The box in the bar: an id, a class, a server, an entry or a file leads to its page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from bson import ObjectId
from starlette.responses import Response

from rocketjob import Job, SearchError
from rocketjob.jobs.search import is_field, parse
from rocketjob.model.registry import lookup
from rocketjob.server.server import Server
from rocketjob_plugins.dirmon.entry import DirmonEntry

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

LONGEST = 200
FILES = ("upload_file_name", "input_categories.file_name")
"""Fields of built-in classes that have the name of a file."""
_FILE = re.compile(r"[^\s\"*,()]+\.[A-Za-z0-9]{1,8}")
DOCUMENTS = ((Job, "/jobs/{id}"), (Server, "/servers/{id}"), (DirmonEntry, "/dirmon_entries/{id}"))


def jump(view: View) -> Response:
    """Go to what was typed; where there is no such thing, to the jobs that have it in them."""
    text = " ".join(view.query.get("q", "").split())[:LONGEST]
    return view.go(_path(view, text) if text else "/")


def _path(view: View, text: str) -> str:
    for model, path in DOCUMENTS:
        if view.site.has(path) and (id := _id_of(model, text)) is not None:
            return path.replace("{id}", str(id))
    if lookup(text, Job) is not None:
        return _jobs(f"class:{text}")
    if _FILE.fullmatch(text):
        known = [name for name in FILES if is_field(Job, name.partition(".")[0])]
        return _jobs(" OR ".join([_quoted(text), *(f"field.{name}:*{text}*" for name in known)]))
    try:
        parse(text, Job, messages=view.may_quote())
    except SearchError:
        return _jobs(_quoted(text))
    return _jobs(text)


def _id_of(model: type[Job | Server | DirmonEntry], text: str) -> object | None:
    """Return the id of the document that has an id or a name, if there is one."""
    if re.fullmatch(r"[0-9a-fA-F]{24}", text):
        filter: dict[str, object] = {"_id": ObjectId(text)}
    elif model is Job:
        return None
    else:
        filter = {"name": text}
    found = model.collection().find_one(filter, {"_id": 1})
    return found and found["_id"]


def _jobs(search: str) -> str:
    return f"/jobs?{urlencode({'q': search})}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
