"""`rocketjob prometheus`: the metrics on a port of this machine."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import click

from rocketjob.application import current
from rocketjob.cli import Failure, command
from rocketjob_contrib.prometheus.collector import RocketJobCollector

CLIENT_SECONDS = 5.0
EXTRA = "prometheus-client is not installed: pip install 'rocketjob[prometheus]'"


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise click.UsageError(f"--listen: {listen!r} must be HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]") or "0.0.0.0", int(port)


@contextlib.contextmanager
def serving(host: str, port: int) -> Iterator[int]:
    """Serve the metrics for the length of a block; yields the port.

    Raises:
        Failure: prometheus-client is not installed, or the address cannot be listened on.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # optional
    except ImportError:
        raise Failure(EXTRA) from None
    registry = CollectorRegistry()
    registry.register(RocketJobCollector())
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Failure(f"{host}:{port} cannot be listened on: {error}") from None
    # A thread waits for each client; without this for ever, where it sends nothing.
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type("Handler", (handler,), {"timeout": CLIENT_SECONDS})
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@command(
    "prometheus",
    changes=False,
    makes_store=False,
    examples=[("To this machine only", "prometheus --listen 127.0.0.1:9464")],
)
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:9464", show_default=True)
def prometheus(listen: str) -> None:
    """Serve the metrics of all jobs and servers to Prometheus, until it is stopped.

    It has no password: listen where only Prometheus can connect.
    """
    host, port = _address(listen)
    _ = current().store  # so that one that is not there is said at once
    with serving(host, port) as bound:
        click.echo(f"metrics on http://{host}:{bound}/metrics", err=True)
        threading.Event().wait()
