"""Mission Control in Django: `pip install 'rocketjob[web,django]'`.

    path("rocketjob/", include(urls(WebSettings(authorize=who))))

`who` is called with the request of Django, after its middleware: `request.user` is there. It
returns an `Identity`, a response such as a redirect to the login, or None. Under ASGI pages are
told of changes by a stream; under WSGI, where a stream would hold a thread, they ask.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, re_path
from starlette.applications import Starlette

from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.hosts import (
    IDENTITY,
    has_token,
    hosted,
    is_of_api,
    quoted,
)
from rocketjob_contrib.mission_control.security import CANNOT_STREAM, is_from_script
from rocketjob_contrib.mission_control.settings import WebSettings

CHUNK = 65536
Message = dict[str, Any]


def urls(settings: WebSettings) -> list[URLPattern]:
    """Return what `include` takes: one pattern, for Mission Control and all that is in it."""

    @cache
    def application() -> Starlette:
        """Made by the first request: servers fork after the import, and threads stay behind."""
        return hosted(settings)

    async def serve(request: HttpRequest, path: str) -> Any:
        says_who = has_token(path, request.headers.get("authorization"))
        identity = None if says_who else await _identity(settings, request)
        if not isinstance(identity, Identity | None):
            if not (is_from_script(request.headers) or is_of_api(path)):
                return identity
            identity = None
        scope = _scope(request, path) | {IDENTITY: identity}
        return await _response(_messages(application(), scope, request))

    # Requests of other sites are refused by Mission Control itself, without a token in its forms.
    serve.csrf_exempt = True  # type: ignore[attr-defined]
    return [re_path(r"^(?P<path>.*)$", serve, name="rocketjob")]


async def _identity(settings: WebSettings, request: HttpRequest) -> Any:
    authorize = settings.authorize
    if authorize is None or inspect.iscoroutinefunction(authorize):
        return authorize and await authorize(request)
    return await sync_to_async(authorize)(request)  # it may look at the database


def _scope(request: HttpRequest, path: str) -> Message:
    """Return the scope of ASGI that a request of Django is."""
    mounted = request.path.removesuffix(path)
    if not mounted.endswith("/") and path and not path.startswith("/"):
        raise Http404  # as `path("rocketjob", ...)` also fits rocketjobs
    root = mounted.rstrip("/")
    meta = request.META
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": f"{root}/{path.lstrip('/')}",
        "root_path": root,
        "query_string": quoted(meta.get("QUERY_STRING", "")).encode(),
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in request.headers.items()
        ],
        "client": (meta.get("REMOTE_ADDR") or "", int(meta.get("REMOTE_PORT") or 0)),
        "server": (meta["SERVER_NAME"], int(meta["SERVER_PORT"])),
        CANNOT_STREAM: not isinstance(request, ASGIRequest),
    }


async def _messages(
    application: Starlette, scope: Message, request: HttpRequest
) -> AsyncIterator[Message]:
    """Yield what an application of ASGI sends."""
    sent: asyncio.Queue[Message | None] = asyncio.Queue()

    async def receive() -> Message:
        body = request.read(CHUNK)  # Django has it in memory, or in a file, already
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    task = asyncio.ensure_future(application(scope, receive, sent.put))  # type: ignore[arg-type]
    task.add_done_callback(lambda _: sent.put_nowait(None))
    try:
        while (message := await sent.get()) is not None:
            yield message
        await task  # for what it raised
    finally:
        task.cancel()


async def _response(messages: AsyncIterator[Message]) -> HttpResponse | StreamingHttpResponse:
    start = await anext(messages)
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
    ]
    if dict(headers).get("content-type", "").startswith("text/event-stream"):
        response: Any = StreamingHttpResponse(_bodies(messages), status=start["status"])
    else:
        body = b"".join([part async for part in _bodies(messages)])
        response = HttpResponse(body, status=start["status"])
    del response["content-type"]  # Django's own, where Mission Control has none
    for name, value in headers:
        if name == "set-cookie":
            response.cookies.load(value)  # there may be several
        else:
            response[name] = value
    return response


async def _bodies(messages: AsyncIterator[Message]) -> AsyncIterator[bytes]:
    async with aclosing(messages) as all_of_them:  # type: ignore[type-var]
        async for message in all_of_them:
            yield message.get("body", b"")
