"""Records as a file that is downloaded, corrected and uploaded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from rocketjob_contrib.mission_control.errors import BadRequest
from rocketjob_contrib.mission_control.requests import File

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
IN_MEMORY = 1_000_000  # bytes of a download, of which the rest is on the disk
BLOCK = 64 * 1024


def format_of(view: View) -> Literal["csv", "jsonl"]:
    """Return which of the two is asked for."""
    return "jsonl" if view.query.get("format") == "jsonl" else "csv"


def sent(name: str, format: str, write: Callable[[IO[bytes]], Any]) -> Response:
    """Return a file for the browser to keep.

    Args:
        name: without its extension.
        write: called with a file to write to; what it raises is raised here.
    """
    # Closed by `_blocks`, as it is sent once this has returned.
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
    try:
        write(file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}.{format}"}
    return StreamingResponse(_blocks(file), media_type=TYPES[format], headers=headers)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(BLOCK):
            yield block


def uploaded(view: View) -> File | None:
    """Return the file that was chosen, or what was pasted as one; its name has no folders.

    Raises:
        BadRequest: what was pasted cannot be encoded.
    """
    file = view.form.files.get("file")
    if file is not None:
        return File(file.name.replace("\\", "/").rpartition("/")[2] or "file", file.content)
    text = view.form.get("text", "")
    if not text.strip():
        return None
    is_json = text.lstrip().startswith("{")
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"The text has half a character at {error.start}") from None
    return File("pasted.jsonl" if is_json else "pasted.csv", content)


def separator_of(view: View) -> str:
    """Return what separates the values of CSV."""
    separator = view.form.get("separator", "") or ","
    return "\t" if separator == "\\t" else separator
