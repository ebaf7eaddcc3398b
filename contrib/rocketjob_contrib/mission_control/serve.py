"""The server of `rocketjob web`."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import click
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route

from rocketjob import application
from rocketjob.cli import Failure
from rocketjob.cli.session import store_line
from rocketjob_contrib.mission_control.app import create_app
from rocketjob_contrib.mission_control.security import is_loopback
from rocketjob_contrib.mission_control.settings import WebSettings
from rocketjob_contrib.mission_control.signing_in import Users


def serve(
    host: str,
    port: int,
    *,
    path: str = "",
    read_only: bool = False,
    title: str | None = None,
    users: str | None = None,
) -> None:
    """Serve Mission Control until a signal ends it.

    Raises:
        Failure: others could reach it there, or the port is taken.
    """
    if users is None and not is_loopback(host):
        raise Failure(
            f"{host} can be reached from elsewhere, and nobody has said who may use it: give "
            "--users, or mount Mission Control in an application with a login, see docs/web.md"
        )
    authorize = None if users is None else Users(users)
    settings = WebSettings(authorize=authorize, read_only=read_only, title=title, home=None)
    app = application_at(path, settings)
    listening = listen(host, port)
    with listening, _logging():
        address = _address(host, listening.getsockname()[1], path)
        click.echo(f"Mission Control: {address}  store: {store_line()}  (Ctrl-C ends it)")
        config = uvicorn.Config(app, log_level="warning", proxy_headers=False, lifespan="off")
        config.timeout_graceful_shutdown = 2  # an open page has a stream that never ends
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn hands it on when it has ended
            uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Write the log where the settings say: who changed what is in it."""
    service = application.current().log_service().start()
    try:
        yield
    finally:
        service.stop()


def application_at(path: str, settings: WebSettings) -> Starlette:
    """Return Mission Control below a path, or at the root."""
    app, path = create_app(settings), path.strip("/")
    if not path:
        return app

    def below(request: Request) -> Response:
        return RedirectResponse(f"/{path}/", 307)  # not to the host that the request names

    return Starlette(routes=[Route(f"/{path}", below), Mount(f"/{path}", app)])


def _address(host: str, port: int, path: str) -> str:
    shown, below = f"[{host}]" if ":" in host else host, path.strip("/")
    return f"http://{shown}:{port}/{below}/" if below else f"http://{shown}:{port}/"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; a port of 0 is any that is free.

    Raises:
        Failure: the port is taken, or the address is not one of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Failure(f"{host}:{port} cannot be listened on: {error.strerror or error}") from error
