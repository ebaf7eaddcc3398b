"""Live pages: one thread of the process watches the store, however many pages are open.

It tells them that something has changed, and no more: each page then asks for itself again, and
gets what whoever looks may see.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.store import context
from rocketjob_contrib.mission_control.gate import Refused, identify
from rocketjob_contrib.mission_control.security import CANNOT_STREAM
from rocketjob_contrib.mission_control.site import Site

log = Logger("rocketjob.web")
QUIET_SECONDS = 8.0
"""Pages are brought up to date so often at least: how long ago something was, and heartbeats that
are missing, are no writes. It is short enough for the verdict, which is old after 15 seconds."""
PING_SECONDS = 15.0  # proxies close a connection that says nothing
MOST_UNREAD = 4
CHANGED, AWAY = "changed", "away"


class Listener:
    """One open page: what it is told is put into its own event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def _put(self, event: str) -> None:
        if self._queue.qsize() < MOST_UNREAD:  # a browser that has gone to sleep reads nothing
            self._queue.put_nowait(event)

    def tell(self, event: str) -> None:
        """Called by the thread that watches; a loop that has ended hears nothing."""
        try:
            self._loop.call_soon_threadsafe(self._put, event)
        except RuntimeError:
            log.debug("a page is gone")

    async def next(self, seconds: float) -> str | None:
        """Return what is told next; None if nothing is for so long."""
        try:
            return await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            return None


class Pulse:
    """Watches the store while there are listeners, and tells them.

    Args:
        seconds: between two looks: pages are not asked to do more than they can show.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._listeners: set[Listener] = set()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="web-live", daemon=True)
                self._thread.start()

    def remove(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)

    @property
    def watches(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None

    def _is_over(self) -> bool:
        with self._lock:
            if not self._listeners:
                self._thread = None
                return True
            return False

    def _watch(self) -> None:
        told, pause = time.monotonic(), threading.Event()
        mark, is_away = None, False
        while not self._is_over():
            try:
                store = context.current().store
                mark = store.change_mark() if mark is None else mark
                changed = store.wait_for_change(mark, self.seconds)
                if changed or is_away or time.monotonic() - told >= QUIET_SECONDS:
                    mark, told = store.change_mark(), time.monotonic()
                    self._tell(CHANGED)
                    is_away = False
                    pause.wait(self.seconds)
            except Exception as error:
                if not is_away:
                    log.warning("the store cannot be watched", error=message_of(error)[:300])
                mark, is_away = None, True
                self._tell(AWAY)
                pause.wait(self.seconds)

    def _tell(self, event: str) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.tell(event)


def endpoint(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """Return what Starlette calls for the stream of events."""
    pulse = Pulse(site.settings.live_seconds)
    site.memory["pulse"] = pulse

    async def call(request: Request) -> Response:
        try:
            await identify(site, request)
        except Refused as refused:
            return refused.response
        if request.scope.get(CANNOT_STREAM):
            return Response(status_code=204)  # which says: do not ask again
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        if request.method == "HEAD":  # a stream would never end
            return Response(headers=headers, media_type="text/event-stream")
        return StreamingResponse(stream(pulse), media_type="text/event-stream", headers=headers)

    return call


async def stream(pulse: Pulse) -> AsyncIterator[str]:
    """Yield events, as long as somebody reads them."""
    listener = Listener()
    pulse.add(listener)
    try:
        yield ": connected\n\n"
        while True:
            event = await listener.next(PING_SECONDS)
            yield f"event: {event}\ndata: -\n\n" if event else ": still here\n\n"
    finally:
        pulse.remove(listener)
