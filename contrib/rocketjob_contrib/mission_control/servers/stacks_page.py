"""Where the threads of servers are: they are asked, and what they answer is the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


@attrs.frozen
class Only:
    """Which threads are shown: all, or the one that is at a job, or at a slice of it."""

    job: str | None = None
    slice: int | None = None

    @classmethod
    def of(cls, form: Mapping[str, str]) -> Only:
        slice = form.get("slice", "")
        number = int(slice) if slice.isascii() and slice.isdigit() and len(slice) < 19 else None
        return cls(form.get("job", "")[:50] or None, number)

    def has(self, thread: Mapping[str, Any]) -> bool:
        if self.job is not None and thread.get("job_id") != self.job:
            return False
        return self.slice is None or thread.get("slice") == self.slice

    def of_reply(self, reply: Reply) -> Reply:
        """Return what a server answered, without the other threads."""
        if self.job is None:
            return reply
        given = tuple(
            attrs.evolve(each, content={**each.content, "threads": threads})
            for each in reply.given
            if (threads := [*filter(self.has, each.content["threads"])])
        )
        gone = f"No worker of {reply.server.name} is at that any more: see its job."
        return attrs.evolve(reply, given=given, missing=reply.missing + (() if given else (gone,)))


def show(view: View, servers: Sequence[Server]) -> Response:
    """Ask servers where their threads are, and show what they answer within two seconds."""
    only = Only.of(view.form)
    for server in servers:
        deeds.record("thread_dump", "Server", id=str(server.id), name=server.name)
    replies = [only.of_reply(each) for each in ask_servers(servers, "stacks", SECONDS)]
    title = f"Threads of {servers[0].name}" if len(servers) == 1 else "Threads of all servers"
    if only.job is not None:
        title = f"A worker of {servers[0].name}"
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
        only=only,
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
