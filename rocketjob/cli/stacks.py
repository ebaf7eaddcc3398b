"""What servers answer on the command line: the stacks of their threads, and that a level is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import click

from rocketjob.base.text import counted, relative, span
from rocketjob.cli.output import clean, print_heading, print_json
from rocketjob.cli.session import warn
from rocketjob.model import deeds
from rocketjob.server import answers
from rocketjob.server.answers import Answers
from rocketjob.server.server import Server

EVENT = "question"


def show(servers: Sequence[Server], seconds: float, as_json: bool, all_threads: bool) -> None:
    """Print the stacks of servers' threads; exit with 1 if anybody is silent.

    Args:
        all_threads: also of those that perform no job.
    """
    found = _ask(servers, "stacks", seconds, {})
    for server in servers:
        if as_json:
            print_json(_described(server, found))
        else:
            _print_server(server, found, all_threads)
    _end(servers, found, seconds)


def change_level(
    servers: Sequence[Server],
    level: str,
    logger: str | None,
    duration: timedelta | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Change the level of servers' logs; exit with 1 if anybody is silent."""
    lasts = None if duration is None else duration.total_seconds()
    wanted = {"level": level, "logger": logger, "seconds": lasts}
    for server in servers:
        deeds.record("log_level", "Server", id=str(server.id), name=server.name, after=wanted)
    found = _ask(servers, "log_level", seconds, wanted)
    for server in servers:
        given = _of(server, found.given)
        if as_json:
            silent = _names(server, found.silent)
            print_json({"id": server.id, "name": server.name, "level": level, "silent": silent})
        elif given:
            of = f" of {logger}" if logger else ""
            until = f", for {span(lasts)}" if lasts else ""
            processes = counted(len(given), "process", "processes")
            click.echo(f"{server.name}: the level{of} is {level}{until} ({processes})")
    _end(servers, found, seconds)


def _ask(
    servers: Sequence[Server], action: str, seconds: float, parameters: dict[str, Any]
) -> Answers:
    """Ask all that may be alive: one whose process is seen to be gone is not waited for."""
    whom = [server.incarnation for server in servers if not server.is_gone()]
    return answers.ask(EVENT, action, whom, seconds, {"servers": whom, **parameters})


def _of(server: Server, named: Any) -> list[str]:
    """Return which of these names are the server's: itself first, then its processes."""
    mine = [who for who in named if who.partition(".")[0] == server.incarnation]
    return sorted(mine, key=lambda who: (len(who), who))


def _names(server: Server, named: Any) -> list[str]:
    return [_name(server, who) for who in _of(server, named)]


def _name(server: Server, who: str) -> str:
    """Return the name that people know a process by."""
    _, dot, number = who.partition(".")
    return server.name + (f":{number}" if dot else "")


# --- stacks ----------------------------------------------------------------------------------


def _described(server: Server, found: Answers) -> dict[str, Any]:
    return {
        "id": server.id,
        "name": server.name,
        "dead": server.is_gone(),
        "silent": _names(server, found.silent),
        "processes": [
            {name: found.given[who][name] for name in ("name", "pid", "threads")}
            for who in _of(server, found.given)
        ],
    }


def _print_server(server: Server, found: Answers, all_threads: bool) -> None:
    for who in _of(server, found.given):
        given = found.given[who]
        is_worker = "." in who
        if not is_worker and not all_threads:
            continue  # the supervisor performs no job
        role = "" if is_worker else ", the supervisor"
        print_heading(clean(f"{_name(server, who)} (process {given['pid']}{role})"))
        shown = [each for each in given["threads"] if all_threads or "job_id" in each]
        for each in shown:
            _print_thread(each)
        if others := len(given["threads"]) - len(shown):
            none = "" if shown else "performs nothing; "
            click.echo(f"  {none}{counted(others, 'thread')} at no job: see --all")


def _print_thread(each: dict[str, Any]) -> None:
    at = ""
    if "job_id" in each:
        at = f": {each['job_class']} {each['job_id']}, for {span(each['seconds'])}"
    click.echo(clean(f"  {each['thread']}{at}"))
    for line in "\n".join(each["stack"]).split("\n"):
        click.echo(clean(f"  {line}"))


def _end(servers: Sequence[Server], found: Answers, seconds: float) -> None:
    """Say who did not answer, and exit with 1 if anybody did not."""
    all_known: dict[str, Any] = {}
    for each in found.given.values():
        all_known |= each.get("others", {})
    missing = [line for server in servers for line in _missing(server, found, all_known, seconds)]
    for line in missing:
        warn(line)
    if missing:
        raise click.exceptions.Exit(1)


def _missing(
    server: Server, found: Answers, known: dict[str, Any], seconds: float
) -> Iterator[str]:
    if server.is_gone():
        yield f"{server.name} is dead: its process {server.pid} has ended"
    for who in _of(server, found.silent):
        why = _why(known.get(who))
        if who == server.incarnation and server.is_zombie():
            why = f": its last heartbeat was {relative(server.heartbeat_at)}"
        yield f"{_name(server, who)} did not answer within {seconds:g} s{why}"


def _why(known: dict[str, Any] | None) -> str:
    if known is None:
        return ""
    performing = ", ".join(known["performing"])
    at = f", at {performing}: a job may hold the interpreter" if performing else ""
    return f" (process {known['pid']}{at})"
