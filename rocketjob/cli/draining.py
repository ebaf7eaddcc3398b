"""What `rocketjob servers drain` shows while servers finish what they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from rocketjob.cli.looks import looks
from rocketjob.cli.output import print_json
from rocketjob.cli.session import warn
from rocketjob.server.server import Server


def leave(servers: Sequence[Server]) -> None:
    """Leave the servers to themselves."""


def watcher(as_json: bool) -> Callable[[Sequence[Server]], None]:
    """Return what waits until servers have ended, and says what they still do."""
    return lambda servers: _watch(servers, as_json)


def _watch(servers: Sequence[Server], as_json: bool) -> None:
    said = dict.fromkeys((server.name for server in servers), "draining")  # by the order itself
    lost: set[str] = set()
    try:
        for _ in looks(None):
            left = {server.id: server for server in Server.where({"_id": {"$in": _ids(servers)}})}
            for server in servers:
                text, is_over, failed = _seen(left.get(server.id))
                if said.get(server.name) != text:
                    said[server.name] = text
                    _say(server, text, failed, as_json)
                if is_over:
                    servers = [other for other in servers if other is not server]
                    lost |= {server.name} if failed else set()
            if not servers:
                break
    except KeyboardInterrupt:
        names = ", ".join(server.name for server in servers)
        warn(f"{names}: the drain goes on all the same; `rocketjob servers resume` ends it")
        raise
    if lost:
        raise click.exceptions.Exit(1)


def _ids(servers: Sequence[Server]) -> list[object]:
    return [server.id for server in servers]


def _seen(server: Server | None) -> tuple[str, bool, bool]:
    """Say how a server is that is drained; whether that is the end of it, and no good one."""
    if server is None:
        return "has ended", True, False
    if server.seems_dead():
        return "is dead: another server takes its work back", True, True
    if server.state == "stopping":
        return _with_work("stopping", server), False, False
    if server.is_draining:
        return _with_work("draining", server), False, False
    return f"is {server.state}: the drain was ended", True, True


def _with_work(word: str, server: Server) -> str:
    left = server.left_in_work
    return word if left is None else f"{word}, {left} in work"


def _say(server: Server, text: str, failed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"id": server.id, "name": server.name, "is": text, "ok": not failed})
    elif failed:
        warn(f"{server.name} {text}")
    else:
        click.echo(f"{server.name}: {text}")
