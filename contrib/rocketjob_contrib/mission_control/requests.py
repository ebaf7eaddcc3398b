"""What is read of a request: the fields of a form, within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import attrs
from starlette.requests import ClientDisconnect, Request

from rocketjob_contrib.mission_control.errors import BadRequest, TooLarge

MAX_FIELDS = 10_000
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@attrs.frozen
class File:
    """A file that was uploaded: its name on the other machine, which is only to be shown."""

    name: str
    content: bytes = attrs.field(repr=False)


class Form(Mapping[str, str]):
    """The fields of a form: the last value of each name, and all of them with `all`.

    Attributes:
        files: that were uploaded, by the names of their fields.
    """

    def __init__(self, pairs: list[tuple[str, str]] | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        self.files: dict[str, File] = {}
        self.add(pairs or [])

    def add(self, pairs: list[tuple[str, str]]) -> None:
        """Add fields."""
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][-1]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def all(self, name: str) -> list[str]:
        """Return every value of a name, in order."""
        return self._values.get(name, [])


async def read_form(request: Request, limit: int) -> Form:
    """Return the fields that were posted.

    Raises:
        TooLarge: the body is longer than `limit` bytes.
        BadRequest: it is not a form, or not UTF-8.
    """
    body = await body_of(request, limit)
    if not body:
        return Form()
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind not in (FORM, MULTIPART):
        raise BadRequest(f"A form must be sent as {FORM}, not as {kind or 'nothing'}")
    try:
        if kind == MULTIPART:
            return multipart(given, body)
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise BadRequest("The form has bytes that are not UTF-8; nothing was changed") from None
    except ValueError:
        raise BadRequest(f"The form has more than {MAX_FIELDS:,} fields") from None
    return Form(pairs)


def multipart(kind: str, body: bytes) -> Form:
    """Return the fields and files of a form with files, whose bytes are as they were sent.

    Args:
        kind: the header `Content-Type`, which says what is between two parts.

    Raises:
        BadRequest: it is not such a form.
        UnicodeDecodeError: the text of a field is not UTF-8.
        ValueError: there are too many fields.
    """
    boundary = _parameter(kind, "boundary")
    if not boundary:
        raise BadRequest("The form does not say what is between its parts; nothing was changed")
    mark = b"\r\n--" + boundary.encode("latin-1")
    first, *parts = (b"\r\n" + body).split(mark)
    if first.strip() or not parts or not parts[-1].startswith(b"--"):
        raise BadRequest("The form ended before its end; nothing was changed")
    if len(parts) > MAX_FIELDS:
        raise ValueError
    form, pairs = Form(), []
    for part in parts[:-1]:
        head, found, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = next(filter(_is_disposition, head.decode().split("\r\n")), "")
        name, file = _parameter(said, "name"), _parameter(said, "filename")
        if not found or name is None:
            raise BadRequest("A part of the form has no name; nothing was changed")
        if file is None:
            pairs.append((name, content.decode()))
        elif file or content:  # else no file was chosen
            form.files[name] = File(file, content)
    form.add(pairs)
    return form


def _is_disposition(line: str) -> bool:
    return line.lower().startswith("content-disposition:")


def _parameter(header: str, name: str) -> str | None:
    found = re.search(rf'(?:^|[;\s]){name}=(?:"([^"]*)"|([^\s;"]+))', header, re.IGNORECASE)
    return None if found is None else found[1] if found[1] is not None else found[2]


async def body_of(request: Request, limit: int) -> bytes:
    """Return what was sent.

    Raises:
        TooLarge: it is longer than `limit` bytes.
        BadRequest: it ended before its end.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise TooLarge(f"More than {limit:,} bytes were sent; nothing was changed")
    except ClientDisconnect:
        raise BadRequest("What was sent ended before its end; nothing was changed") from None
    return bytes(body)
