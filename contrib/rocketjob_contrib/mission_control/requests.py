"""What is read of a request: the fields of a form, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from rocketjob_contrib.mission_control.errors import BadRequest, TooLarge

MAX_FIELDS = 10_000
FORM = "application/x-www-form-urlencoded"


class Form(Mapping[str, str]):
    """The fields of a form: the last value of each name, and all of them with `all`."""

    def __init__(self, pairs: list[tuple[str, str]] | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs or ():
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
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise BadRequest(f"A form must be sent as {FORM}, not as {kind or 'nothing'}")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise BadRequest("The form has bytes that are not UTF-8; nothing was changed") from None
    except ValueError:
        raise BadRequest(f"The form has more than {MAX_FIELDS:,} fields") from None
    return Form(pairs)


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
