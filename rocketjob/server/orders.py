"""Orders: what people tell servers to do, from wherever the store can be reached.

Pausing, resuming and stopping are changes of the server's document, which its supervisor obeys;
what ends a process at once, or only has it say something, is an event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from rocketjob.base import acts
from rocketjob.base.errors import InvalidTransition, NotFound
from rocketjob.server import events
from rocketjob.server.recovery import Recovery
from rocketjob.server.server import Server
from rocketjob.store import context


def kill(server: Server) -> None:
    """Let a server end at once; what it runs is queued again."""
    events.publish("server", "kill", server_id=str(server.id))
    # One that is still starting does not listen yet; it reads its document all the same.
    with acts.part_of_it(), contextlib.suppress(InvalidTransition, NotFound):
        server.stop()


def dump(server: Server) -> None:
    """Let a server write the stacks of all its threads to its standard error."""
    events.publish("server", "thread_dump", server_id=str(server.id))


ORDERS: dict[str, Callable[[Server], object]] = {
    "pause": Server.pause,
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
