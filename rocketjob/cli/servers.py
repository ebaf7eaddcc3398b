"""`rocketjob servers`: list running servers and control them, from anywhere.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from rocketjob.base.errors import InvalidTransition, NotFound
from rocketjob.base.log import LEVELS
from rocketjob.base.text import relative
from rocketjob.cli.command import Group, json_option
from rocketjob.cli.errors import Failure
from rocketjob.cli.looks import looks
from rocketjob.cli.output import Cell, Column, print_json, print_table
from rocketjob.cli.session import warn
from rocketjob.cli.types import DURATION

if TYPE_CHECKING:
    from datetime import timedelta

    from rocketjob.server.server import Server

F = TypeVar("F", bound=Callable[..., Any])
COLUMNS = (
    Column("NAME"),
    Column("STATE", fixed=True),
    Column("WORKERS", fixed=True, right=True),
    Column("PROCS", fixed=True, right=True, spare=1),
    Column("STARTED", fixed=True, spare=2),
    Column("HEARTBEAT", fixed=True),
)
PLACE = (Column("HOST", spare=4), Column("PID", fixed=True, right=True, spare=3))
STYLES = {
    "running": "green",
    "paused": "yellow",
    "draining": "magenta",
    "stopping": "magenta",
    "zombie": "red",
}
EXAMPLES = (
    ("all servers", "servers list"),
    ("the same, every second", "servers list --watch"),
    ("stop those with `web` in their name, after their work", "servers stop web --wait"),
    ("pause all of them for a while", "servers pause --yes"),
)


@click.group("servers", cls=Group, examples=EXAMPLES, makes_store=False)
def servers() -> None:
    """List, stop and pause servers.

    NAME is part of a server's name, or the whole name if it contains a colon; without it the
    command applies to all servers.
    """


# --- list ------------------------------------------------------------------------------------


@servers.command("list", changes=False, examples=EXAMPLES[:2])
@click.argument("name", required=False)
@json_option
@click.option("--watch", is_flag=True, help="repeat until Ctrl-C")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="how often, with --watch",
)
def list_servers(name: str | None, as_json: bool, watch: bool, every: float) -> None:
    """List the servers; a zombie's heartbeat has stopped."""
    if not watch:
        _show(_named(name), as_json)
        return
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            named = _named(name)
            if sys.stdout.isatty() and not as_json:
                click.clear()
            _show(named, as_json)
            sys.stdout.flush()
            threading.Event().wait(every)


def _named(name: str | None) -> list[Server]:
    from rocketjob.server.server import Server

    return Server.named(name)


def _show(servers: list[Server], as_json: bool) -> None:
    if as_json:
        for server in servers:
            print_json(described(server))
    elif servers:
        _print_table(servers)
    else:
        click.echo("No server is registered. Start one: rocketjob server --app MODULE", err=True)


def described(server: Server) -> dict[str, Any]:
    """Return a server's data, for programs."""
    return {
        "id": server.id,
        "name": server.name,
        "state": server.state,
        "draining": server.is_draining,
        "zombie": server.seems_dead(),
        "workers": server.workers,
        "max_workers": server.max_workers,
        "processes": server.processes,
        "started_at": server.started_at,
        "heartbeat_at": server.heartbeat_at,
        "heartbeat_seconds": server.heartbeat_seconds,
        "performing": server.performing,
        "host": server.host,
        "pid": server.pid,
        "incarnation": server.incarnation,
        "classes": server.classes,
    }


def _print_table(servers: list[Server]) -> None:
    """Print a table, with host and pid only if the names do not already show them."""
    if all(server.name == f"{server.host}:{server.pid}" for server in servers):
        print_table(COLUMNS, [_row(server) for server in servers])
    else:
        rows = [[*_row(server), server.host, str(server.pid)] for server in servers]
        print_table((*COLUMNS, *PLACE), rows)


def _row(server: Server) -> list[Cell | str]:
    state = "zombie" if server.seems_dead() else server.condition
    return [
        server.name,
        Cell(state, STYLES.get(state, "")),
        f"{server.workers}/{server.max_workers}",
        str(server.processes),
        relative(server.started_at),
        relative(server.heartbeat_at),
    ]


# --- tell them -------------------------------------------------------------------------------


NAME = """
    NAME is part of a server's name, or the whole name if it contains a colon; without it the
    command applies to all servers.
"""


def _name_argument(function: F) -> F:
    """Let a command take NAME, and its help say what that is."""
    function.__doc__ = f"{function.__doc__}\n\n{NAME}"
    return click.argument("name", required=False)(function)


def _yes_option(function: F) -> F:
    return click.option("-y", "--yes", is_flag=True, help="all servers, without asking")(function)


def _wait_options(function: F) -> F:
    function = click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        help="wait at most this long, then exit with 1",
    )(function)
    return click.option("--wait", is_flag=True, help="wait until it is done")(function)


@servers.command("stop", examples=(("and wait until it has ended", "servers stop web-1 --wait"),))
@_name_argument
@_yes_option
@_wait_options
@json_option
def stop(name: str | None, yes: bool, as_json: bool, wait: bool, timeout: float | None) -> None:
    """Stop servers; what they run has the grace period to finish."""
    _tell(Order("stop", "stop", "stopping", _is_gone), name, yes, as_json, wait, timeout)


@servers.command("kill", examples=(("stop a server at once", "servers kill web-1 --wait"),))
@_name_argument
@_yes_option
@_wait_options
@json_option
def kill(name: str | None, yes: bool, as_json: bool, wait: bool, timeout: float | None) -> None:
    """Stop servers at once; what they run is queued again."""
    _tell(Order("kill", "kill", "being killed", _is_gone), name, yes, as_json, wait, timeout)


@servers.command(
    "pause",
    short_help="Pause servers: they start nothing more.",
    examples=(("and wait until it runs no job", "servers pause --wait -y"),),
)
@_name_argument
@_yes_option
@_wait_options
@json_option
def pause(name: str | None, yes: bool, as_json: bool, wait: bool, timeout: float | None) -> None:
    """Pause servers: they finish what they run and start nothing more until they are resumed."""
    _tell(Order("pause", "pause", "paused", _is_at_rest), name, yes, as_json, wait, timeout)


@servers.command(
    "drain",
    short_help="Let servers finish what they run, and end: for a deploy.",
    examples=(
        ("all servers, before the new release is started", "servers drain --yes"),
        (
            "after ten minutes what is not done is queued again",
            "servers drain web-1 --timeout 10m",
        ),
        ("without waiting for it", "servers drain web-1 --no-wait"),
    ),
)
@_name_argument
@_yes_option
@click.option(
    "--timeout",
    metavar="DURATION",
    type=DURATION,
    help="then they stop in any case, as after 10m; they have their grace period besides",
)
@click.option("--no-wait", is_flag=True, help="do not wait until they have ended")
@json_option
def drain(
    name: str | None, yes: bool, timeout: timedelta | None, no_wait: bool, as_json: bool
) -> None:
    """Let servers start nothing more, finish what they run, and end.

    The servers do so by themselves: they go on with it if this command is interrupted, and servers
    resume ends it. Meanwhile it is shown how much is in work. Exit with 1 if one was resumed, or is
    dead.
    """
    from rocketjob.cli import draining

    lasts = None if timeout is None else timeout.total_seconds()
    order = Order("drain", "drain", "draining", arguments=(lasts,))
    then = draining.leave if no_wait else draining.watcher(as_json)
    _tell_and(order, name, yes, as_json, then)


@servers.command("resume", examples=(("all paused servers", "servers resume --yes"),))
@_name_argument
@_yes_option
@json_option
def resume(name: str | None, yes: bool, as_json: bool) -> None:
    """Resume paused servers."""
    _tell(Order("resume", "resume", "running"), name, yes, as_json)


def _seconds_option(function: F) -> F:
    return click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0.1),
        default=5.0,
        show_default=True,
        help="how long to wait for answers",
    )(function)


@servers.command(
    "dump",
    short_help="Show where the threads of servers are.",
    examples=(
        ("where its threads are, and at which jobs", "servers dump web-1"),
        ("into the server's own log instead", "servers dump web-1 --log"),
    ),
)
@_name_argument
@_yes_option
@_seconds_option
@click.option("--all", "all_threads", is_flag=True, help="also threads that perform no job")
@click.option(
    "--log", "to_log", is_flag=True, help="have them written to the servers' logs instead"
)
@json_option
def dump(
    name: str | None, yes: bool, timeout: float, all_threads: bool, to_log: bool, as_json: bool
) -> None:
    """Show the stacks of threads that perform jobs; exit with 1 if a process does not answer.

    A process in which a job holds the interpreter, as a loop in C does, cannot answer.
    """
    if to_log:
        _tell(Order("thread_dump", "dump", "writing its stacks"), name, yes, as_json)
        return
    from rocketjob.cli import stacks

    if found := _meant("dump", name, yes=True):
        stacks.show(found, timeout, as_json, all_threads)


@servers.command(
    "work",
    changes=False,
    short_help="Show what each worker does right now.",
    examples=(
        ("of all servers, asked just now", "servers work"),
        ("for programs", "servers work web-1 --json"),
    ),
)
@_name_argument
@_seconds_option
@json_option
def work(name: str | None, timeout: float, as_json: bool) -> None:
    """Ask servers what each worker is at, and for how long; exit with 1 if one does not answer.

    For a batch job it is the slice, named by its first record, and how long that has taken.
    """
    from rocketjob.cli import stacks

    found = _named(name)
    if not found:
        raise Failure("No server is registered: nobody can answer")
    stacks.show_work(found, timeout, as_json)


@servers.command(
    "log-level",
    short_help="Change the level of the log of servers.",
    examples=(
        (
            "debug for a while, of one class",
            "servers log-level web-1 debug --class ImportJob --for 15m",
        ),
    ),
)
@click.argument("name")
@click.argument("level", type=click.Choice(list(LEVELS)))
@click.option("--class", "logger", metavar="NAME", help="of one job class or logger, not of all")
@click.option(
    "--for", "duration", metavar="DURATION", type=DURATION, help="then it goes back, as after 15m"
)
@_seconds_option
@json_option
def log_level(
    name: str,
    level: str,
    logger: str | None,
    duration: timedelta | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Change the level of the log while servers run; exit with 1 if any does not answer.

    NAME is part of a server's name, or the whole name if it contains a colon. A process that is
    started later has the level of the settings.
    """
    from rocketjob.cli import stacks

    stacks.change_level(_named(name), level, logger, duration, timeout, as_json)


def _meant(verb: str, name: str | None, yes: bool) -> list[Server]:
    """Return the servers that are meant, once it is sure that all are, if all are."""
    found = _named(name)
    if not found:
        click.echo("No server is registered.", err=True)
    elif name is None and not yes:
        _confirm(verb, found)
    return found


@attrs.frozen
class Order:
    """An order to a server.

    Attributes:
        name: in `rocketjob.server.orders`.
        verb: for messages, as in `stop`.
        outcome: what it is then, as in `stopping`.
        done: whether it has done so; `--wait` waits for it.
        arguments: of the order.
    """

    name: str
    verb: str
    outcome: str
    done: Callable[[Server], bool] = lambda server: True
    arguments: tuple[Any, ...] = ()


def _is_gone(server: Server) -> bool:
    from rocketjob.server.server import Server

    return Server.where(id=server.id, incarnation=server.incarnation).first() is None


def _is_at_rest(server: Server) -> bool:
    from rocketjob.server.draining import is_at_rest

    return is_at_rest(server)


def _tell(
    order: Order,
    name: str | None,
    yes: bool,
    as_json: bool,
    wait: bool = False,
    timeout: float | None = None,
) -> None:
    """Give an order to the selected servers."""

    def wait_for(obeyed: list[Server]) -> None:
        if wait:
            _wait(order, obeyed, timeout)

    _tell_and(order, name, yes, as_json, wait_for)


def _tell_and(
    order: Order,
    name: str | None,
    yes: bool,
    as_json: bool,
    then: Callable[[list[Server]], None],
) -> None:
    servers = _meant(order.verb, name, yes)
    obeyed = [server for server in servers if _give(order, server, as_json)]
    if obeyed:
        then(obeyed)
    if len(obeyed) < len(servers):
        raise click.exceptions.Exit(1)


def _confirm(verb: str, servers: list[Server]) -> None:
    names = ", ".join(server.name for server in servers)
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would {verb} all servers ({names}): name one, or add --yes")
    click.confirm(f"{verb.capitalize()} all servers ({names})?", abort=True, err=True)


def _give(order: Order, server: Server, as_json: bool) -> bool:
    """Give the order to one server, report the outcome, and return whether it obeys."""
    from rocketjob.server.orders import ORDERS

    if server.is_gone():
        warn(f"{server.name} does not answer: its process {server.pid} has ended")
    elif server.is_zombie():
        _say_zombie(server)
    obeys, outcome = True, order.outcome
    try:
        ORDERS[order.name](server, *order.arguments)
    except InvalidTransition:
        if server.state == order.outcome:
            outcome = f"{order.outcome} already"
        else:
            obeys, outcome = False, f"is {server.state}: it cannot {order.verb}"
    except NotFound:
        outcome = "has already ended"
    if as_json:
        answer = {"id": server.id, "name": server.name, "order": order.verb}
        print_json({**answer, "ok": obeys, "outcome": outcome})
    elif obeys:
        click.echo(f"{server.name}: {outcome}")
    else:
        warn(f"{server.name} {outcome}")
    return obeys


def _say_zombie(server: Server) -> None:
    warn(
        f"{server.name} does not answer: its last heartbeat was {relative(server.heartbeat_at)}. "
        "A running server reclaims its work and removes it"
    )


def _wait(order: Order, servers: Iterable[Server], timeout: float | None) -> None:
    waiting = list(servers)
    for _ in looks(timeout):
        waiting = [server for server in waiting if not order.done(server)]
        if not waiting:
            return
        lost = [server for server in waiting if _seems_dead_now(server)]
        if len(lost) == len(waiting):
            break
    names = ", ".join(server.name for server in waiting)
    raise Failure(f"still not done: {names}")


def _seems_dead_now(server: Server) -> bool:
    with contextlib.suppress(NotFound):
        return server.reload().seems_dead()
    return False
