"""Orders: what people tell servers to do, from wherever the store can be reached.

Pausing, resuming and stopping are changes of the server's document, which its supervisor obeys;
what ends a process at once, or only has it say something, is an event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from rocketjob.base import acts
from rocketjob.base.errors import InvalidTransition, NotFound
from rocketjob.model import deeds
from rocketjob.server import events
from rocketjob.server.questions import Reply, ask_servers
from rocketjob.server.recovery import Recovery
from rocketjob.server.server import Server
from rocketjob.store import context


def kill(server: Server) -> None:
    """Let a server end at once; what it runs is queued again."""
    events.publish("server", "kill", server_id=str(server.id))
    # One that is still starting does not listen yet; it reads its document all the same.
    refused = contextlib.suppress(InvalidTransition, NotFound)
    with acts.part_of_it(), refused, server.knowing():
        server.stop()


def dump(server: Server) -> None:
    """Let a server write the stacks of all its threads to its standard error."""
    events.publish("server", "thread_dump", server_id=str(server.id))


def drain(server: Server, seconds: float | None = None) -> None:
    """Let a server end once what it runs is done; see `Server.drain`."""
    if server.state == "starting":
        server.stop()  # it has nothing to finish
    elif server.state != "stopping":  # which ends by itself
        server.drain(seconds)


def change_level(
    servers: Iterable[Server],
    level: str,
    logger: str | None = None,
    lasts: float | None = None,
    seconds: float = 5.0,
) -> list[Reply]:
    """Change the level of the log of servers, for a while, and return what they answer.

    Args:
        logger: of one job class or logger; None: of all.
        lasts: seconds after which it goes back; None: until the server ends.
        seconds: that the servers have to answer.
    """
    servers = list(servers)
    wanted = {"level": level, "logger": logger, "seconds": lasts}
    for server in servers:
        deeds.record("log_level", "Server", id=str(server.id), name=server.name, after=wanted)
    return ask_servers(servers, "log_level", seconds, wanted)


ORDERS: dict[str, Callable[..., object]] = {
    "pause": Server.pause,
    "drain": drain,
    "resume": Server.resume,
    "stop": Server.stop,
    "kill": kill,
    "thread_dump": dump,
}
"""What a server can be told; each raises `InvalidTransition` or `NotFound` where it is too late."""


def remove_dead(server: Server) -> dict[str, int] | None:
    """Take a server whose heartbeat has stopped for dead: queue its work again, and forget it.

    Servers do so with each other by themselves, but later, and only where one is left. Should it
    live after all, because a clock is wrong, it is told to end at once: others have its work.

    Returns:
        how many jobs were `requeued` and how many `failed`; None if nothing was done, since it has
        beaten after it was read.
    """
    reclaimed = Recovery(context.current(), "").bury(server.to_document())
    if Server.collection().find_one({"_id": server.id}, {"_id": 1}) is not None:
        return None
    with acts.part_of_it():
        events.publish("server", "kill", server_id=str(server.id))
    return dict(reclaimed)
