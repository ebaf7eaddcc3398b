"""Whether a server lives and is ready, over HTTP: for load balancers, containers and scripts.

`/live` is 200 as long as the supervisor turns, and 503 if it hangs: then it is to be started again.
`/ready` is 200 while it takes jobs: neither paused nor stopping, its heartbeat written, a worker
process ready. `/` is 200 if both hold. The body is the same JSON for all. It listens on a thread of
its own, and each answer has one; a client that is slow holds up nobody.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Protocol

from rocketjob.base.errors import ConfigurationError
from rocketjob.base.log import Logger

log = Logger("rocketjob.health")
CLIENT_SECONDS = 5.0  # that a client may take, however little it sends at a time
AT_ONCE = 32  # answers; whoever else asks is turned away

Report = Mapping[str, Any]
"""What is answered: at least `live` and `ready`."""


class Answered(Protocol):
    """What is asked: a supervisor."""

    def health(self) -> Report: ...


class _Handler(BaseHTTPRequestHandler):
    look: ClassVar[Callable[[], Report]]
    timeout = CLIENT_SECONDS
    server_version = "RocketJob"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        report = self._report()
        path = self.path.partition("?")[0]
        asked = {"/": ("live", "ready"), "/live": ("live",), "/ready": ("ready",)}.get(path)
        if asked is None:
            status, report = 404, {"error": "ask for /, /live or /ready"}
        else:
            status = 200 if all(report[name] for name in asked) else 503
        body = json.dumps(report, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _report(self) -> Report:
        try:
            return type(self).look()
        except Exception as error:
            log.exception("how the server is cannot be told")
            return {"live": False, "ready": False, "error": type(error).__name__}

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("asked", by=self.address_string(), request=format % args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        hangs_up = threading.Timer(CLIENT_SECONDS, _hang_up, (request,))
        hangs_up.daemon = True
        hangs_up.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            hangs_up.cancel()
            self._free.release()

    def server_bind(self) -> None:
        """Bind, without asking a name server for the name of this machine."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a client was not answered", client=str(client_address))


def _hang_up(request: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        request.shutdown(socket.SHUT_RDWR)


@contextmanager
def answering(address: str | None, answered: Answered) -> Iterator[str | None]:
    """Answer for the length of a block; give the address, which has the port that was chosen.

    Args:
        address: `host:port`; None: nobody is answered. Port 0 is any that is free.

    Raises:
        ConfigurationError: nothing can listen there, as where another program does.
    """
    if address is None:
        yield None
        return
    host, _, port = address.rpartition(":")
    handler = type("Handler", (_Handler,), {"look": staticmethod(answered.health)})
    try:
        server = _Server((host.strip("[]"), int(port)), handler)
    except OSError as error:
        raise ConfigurationError(f"health = {address!r}: cannot listen there: {error}") from error
    at = f"{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    log.info("health is answered", at=f"http://{at}/")
    try:
        yield at
    finally:
        server.shutdown()
        server.server_close()
