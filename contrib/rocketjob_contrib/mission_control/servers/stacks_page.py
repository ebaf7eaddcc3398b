"""Where the threads of servers are: they are asked, and what they answer is the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import PlainTextResponse, Response

from rocketjob.base import clock
from rocketjob.base.text import span
from rocketjob.model import deeds
from rocketjob.server.questions import Given, Reply, ask_servers
from rocketjob.server.server import Server

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

SECONDS = 2.0  # that servers have to answer
MOST = 300  # threads on a page


@attrs.frozen
class Process:
    """What one process answered, as far as it is shown."""

    given: Given
    threads: list[dict[str, Any]]

    @property
    def left_out(self) -> int:
        """How many of its threads are not shown: there are too many for a page."""
        return len(self.given.content["threads"]) - len(self.threads)


def show(view: View, servers: Sequence[Server]) -> Response:
    """Ask servers where their threads are, and show what they answer within two seconds."""
    for server in servers:
        deeds.record("thread_dump", "Server", id=str(server.id), name=server.name)
    replies = ask_servers(servers, "stacks", SECONDS)
    title = f"Threads of {servers[0].name}" if len(servers) == 1 else "Threads of all servers"
    if view.form.get("as") == "text":
        text = "\n".join([f"{title}, {clock.now():%Y-%m-%d %H:%M:%S} UTC", *_lines(view, replies)])
        headers = {"content-disposition": 'attachment; filename="threads.txt"'}
        return PlainTextResponse(text + "\n", headers=headers)
    return view.render(
        "servers/stacks.html",
        title=title,
        taken=clock.now(),
        back=view.back("/servers"),
        replies=list(_shown(replies)),
    )


def _lines(view: View, replies: Sequence[Reply]) -> Iterator[str]:
    """Yield what a file has of it: all threads, however many."""
    for reply in replies:
        yield from ("", reply.server.name, *reply.missing)
        for given in reply.given:
            yield f"\n{given.name}, process {given.content['pid']}"
            for thread in given.content["threads"]:
                yield f"\n  {thread['thread']}{_at(thread)}"
                yield from ("    " + line for line in _stack(view, thread).splitlines())


def _stack(view: View, thread: dict[str, Any]) -> str:
    return str(view.shown("\n".join(thread["stack"])))


def _at(thread: dict[str, Any]) -> str:
    if "job_id" not in thread:
        return ""
    part = f", slice from record {thread['slice']:,}" if "slice" in thread else ""
    return f": {thread['job_class']} {thread['job_id']}{part}, for {span(thread['seconds'])}"


def _shown(replies: Sequence[Reply]) -> Iterator[tuple[Reply, list[Process]]]:
    left = MOST
    for reply in replies:
        processes = []
        for given in sorted(reply.given, key=lambda each: not each.is_worker):
            processes.append(Process(given, given.content["threads"][:left]))
            left -= len(processes[-1].threads)
        yield reply, processes
