"""`Server`: what the store knows of a running server.

The document is written by the server's supervisor and read by everybody: by people, and by the
other servers, which take over its work when its heartbeat stops.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

from rocketjob.base import acts, clock
from rocketjob.base.errors import NotFound
from rocketjob.base.log import Logger
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.holds import Clause
from rocketjob.model.callbacks import after
from rocketjob.model.fields import field
from rocketjob.model.misfits import without_misfits
from rocketjob.model.query import Query
from rocketjob.server import events
from rocketjob.states.machine import Transition, event
from rocketjob.states.stateful import Stateful, change_each
from rocketjob.store import Filter, Stored, context
from rocketjob.store.written import read

log = Logger("rocketjob.server")
T = TypeVar("T")
D = TypeVar("D")
COLLECTION = "rocket_job.servers"
MISSED_BEATS = 4  # a server is dead after this many
INDEXES: dict[str, list[dict[str, Any]]] = {
    COLLECTION: [{"keys": [("name", 1)], "name": "name", "unique": True}]
}


def _pid_namespace() -> str | None:
    """Return what tells the processes of one container from those of another of the same host."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None  # it is not Linux, and has none


class Server(Stateful):
    """One start of one server; a restart makes a new document."""

    collection_name: ClassVar[str] = COLLECTION
    reads_before_events: ClassVar[bool] = True  # people change it, and the server itself

    name: str
    incarnation: str = field(factory=lambda: os.urandom(8).hex())
    state: str = "starting"
    host: str = field(factory=socket.gethostname)
    pid: int = field(factory=os.getpid)
    pid_namespace: str | None = field(factory=_pid_namespace)
    max_workers: int = 10
    processes: int = 1
    heartbeat_seconds: float = 15.0
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    draining_at: datetime | None = None  # since when it is to end as soon as it is at rest
    drain_seconds: float | None = None  # after which it ends in any case
    classes: list[str] = []  # noqa: RUF012 (a field's default, copied for each instance)
    narrowed_by: str | None = None  # the setting `where`, as JSON: a name may begin with $
    heartbeat: dict[str, Any] | None = None

    @property
    def heartbeat_at(self) -> datetime | None:
        """When the server last said that it lives, by its own clock."""
        return self._beat("updated_at", datetime, None)

    @property
    def workers(self) -> int:
        """How many worker threads lived at the last heartbeat."""
        return self._beat("workers", int, 0)

    @property
    def version(self) -> str:
        """Which RocketJob it runs; empty if it is too old to say."""
        return self._beat("version", str, "")

    @property
    def memory(self) -> int:
        """How many bytes its processes had in use at the last heartbeat; 0 if not known."""
        return self._beat("memory", int, 0)

    @property
    def problems(self) -> list[str]:
        """What is wrong with its document, and was with its plugins at the last heartbeat."""
        said = [text for text in self._beat("problems", list, []) if isinstance(text, str)]
        misfits: list[str] = self.__dict__.get("_misfits", [])
        return [*misfits, *said]

    @property
    def performing(self) -> list[str]:
        """What was in work at the last heartbeat: ids of jobs, and of slices as `job/part`."""
        return [id for id in self._beat("performing", list, []) if isinstance(id, str)]

    @property
    def starts_jobs(self) -> bool:
        """Whether it lives and is neither paused nor stopping."""
        return self.state in ("starting", "running") and not self.seems_dead()

    @property
    def is_draining(self) -> bool:
        """Whether it starts nothing more, and ends once what it runs is done."""
        return self.state == "paused" and self.draining_at is not None

    @property
    def condition(self) -> str:
        """The state for people: `draining` where a paused server is to end."""
        return "draining" if self.is_draining else self.state

    @property
    def left_in_work(self) -> int | None:
        """How many jobs and slices a server that is drained has in work still.

        None: it is not drained, or has not said so since it was asked to be.
        """
        if (
            self.draining_at is None
            or self._beat("draining_at", datetime, None) != self.draining_at
        ):
            return None
        return len(self.performing)

    @property
    def is_free(self) -> bool:
        """Whether fewer jobs are performed than it has workers, of any kind, by its heartbeat."""
        return len(self.performing) < self.workers

    def has_room_for(self, type_name: str) -> bool:
        """Return whether a worker is free for jobs of a class, by the last heartbeat.

        A job on an event loop takes none of the threads, nor a thread's job a place there.
        """
        return self._taken_for(type_name) < self.workers_for(type_name)

    def workers_for(self, type_name: str) -> int:
        """Return how many workers there are for jobs of a class: threads, or places on loops."""
        classes, places, _ = self._on_loops()
        return places if type_name in classes else self.workers - places

    def _taken_for(self, type_name: str) -> int:
        classes, _, taken = self._on_loops()
        return taken if type_name in classes else len(self.performing) - taken

    def _on_loops(self) -> tuple[list[Any], int, int]:
        stored = self._beat("on_loops", dict, {})
        classes, places, taken = (stored.get(key) for key in ("classes", "places", "taken"))
        if isinstance(classes, list) and isinstance(places, int) and isinstance(taken, int):
            return classes, places, taken
        return [], 0, 0

    @property
    def clauses(self) -> list[Clause]:
        """What its plugins let it take at the last heartbeat, besides the setting `where`."""
        stored = self._beat("clauses", list, [])
        return [Clause.load(each) for each in stored if Clause.is_stored_as(each)]

    def _beat(self, key: str, kind: type[T], otherwise: D) -> T | D:
        """Return a part of the last heartbeat; the default if it is not what servers write."""
        value = (self.heartbeat or {}).get(key)
        return value if isinstance(value, kind) else otherwise

    @classmethod
    def listed(cls, stored: Stored) -> Self:
        """Make one of many servers: what something else has written keeps none of them back."""
        server = super().listed(stored)
        problems = without_misfits(server)
        if problems:
            server.name = server.name or f"(no name) {server.id}"
            server.__dict__["_misfits"] = [f"its document does not fit: {'; '.join(problems)}"]
        return server

    def taken(self) -> Filter:
        """Return the filter of the jobs that it takes."""
        narrower = [clause.filter for clause in self.clauses]
        if self.narrowed_by:
            narrower.append(read(self.narrowed_by))
        classes: Filter = {"_type": {"$in": self.classes}}
        return {"$and": [classes, *narrower]} if narrower else classes

    def is_zombie(self, missed: int = MISSED_BEATS) -> bool:
        """Return whether the heartbeat has stopped by the clock; never of a starting server.

        For people's eyes: servers judge each other by whether the heartbeat's number grows, so
        that a clock that jumps takes no work away from anybody.
        """
        if self.state not in ("running", "stopping", "paused"):
            return False
        if self.heartbeat_at is None:
            return True
        silent = clock.now().timestamp() - self.heartbeat_at.timestamp()
        return silent >= self.heartbeat_seconds * missed

    def is_gone(self) -> bool:
        """Return whether its process is seen to be gone: it ran on this machine, and ended.

        That is known at once. Its worker processes may be finishing what they had begun; so its
        work is taken back when these have ended too, or its heartbeat has been missing for long.
        """
        here = (socket.gethostname(), _pid_namespace())  # containers hide their processes
        return (self.host, self.pid_namespace) == here and not _is_alive(self.pid)

    def seems_dead(self) -> bool:
        """Return whether nobody hears there: its heartbeat has stopped, or its process is gone."""
        return self.is_zombie() or self.is_gone()

    @event(Transition(("starting",), "running"), validates=False)
    def started(self) -> Self:
        """Note that the server is up."""
        self.started_at = clock.now()
        return self

    @event(Transition(("running",), "paused"), validates=False)
    def pause(self) -> Self:
        """Let the server finish what it runs and start nothing more."""
        return self

    @event(Transition(("paused",), "running"), validates=False)
    def resume(self) -> Self:
        """Let a paused server go on, also one that is being drained."""
        self.draining_at = self.drain_seconds = None
        return self

    @event(Transition(("running", "paused"), "paused"), validates=False)
    def drain(self, seconds: float | None = None) -> Self:
        """Let the server start nothing more, and end once what it runs is done.

        The server does so by itself, whatever becomes of whoever asked for it.

        Args:
            seconds: after which it ends in any case, with the grace period; None: never.
        """
        self.draining_at, self.drain_seconds = clock.now(), seconds
        return self

    @event(
        Transition(("paused",), "stopping", "_drains", "it is not being drained"), validates=False
    )
    def drained(self) -> Self:
        """End a server that is being drained; its supervisor does it."""
        self.stopping_at = clock.now()
        return self

    def _drains(self, **_: Any) -> bool:
        return self.is_draining

    @event(Transition(("starting", "running", "paused"), "stopping"), validates=False)
    def stop(self) -> Self:
        """Let the server finish what it runs, and end."""
        self.stopping_at = clock.now()
        return self

    @contextlib.contextmanager
    def knowing(self) -> Iterator[None]:
        """Announce no order within: the server knows, by an event or since it is its own."""
        self.__dict__["_knows"] = True
        try:
            yield
        finally:
            self.__dict__.pop("_knows", None)  # two threads may be here

    @after("pause", "resume", "drain", "stop")
    def _announce_order(self) -> None:
        """Announce it: a server that polls looks for events sooner than at its document."""
        if "_knows" in self.__dict__:
            return
        try:
            with acts.part_of_it():
                events.publish(events.ORDERS, "refresh", server_id=str(self.id))
        except Exception as error:  # it stands in the document, and is obeyed later
            log.warning("an order is not announced", server=self.name, error=message_of(error))

    def called_when_refused(self) -> str:
        return f"server {self.name}"

    @classmethod
    def starting(cls) -> Query[Self]:
        return cls.where({"state": "starting"})

    @classmethod
    def running(cls) -> Query[Self]:
        return cls.where({"state": "running"})

    @classmethod
    def paused(cls) -> Query[Self]:
        return cls.where({"state": "paused"})

    @classmethod
    def stopping(cls) -> Query[Self]:
        return cls.where({"state": "stopping"})

    @classmethod
    def named(cls, name: str | None) -> list[Self]:
        """Return the servers that a person means.

        Args:
            name: an exact name, where it holds a colon; else part of a name; None for all.

        Raises:
            NotFound: there is none; the message names those that there are.
        """
        servers = list(cls.all().order_by("name"))
        if name is None:
            return servers
        exact = [server for server in servers if server.name == name]
        if exact or ":" in name:
            matching = exact
        else:
            matching = [server for server in servers if name in server.name]
        if not matching:
            names = ", ".join(server.name for server in servers) or "none is registered"
            raise NotFound(f"No server is called {name}; there are: {names}")
        return matching

    @classmethod
    def pause_all(cls) -> int:
        """Pause every running server; return how many."""
        return change_each(cls.running(), cls.pause)

    @classmethod
    def resume_all(cls) -> int:
        """Resume every paused server; return how many."""
        return change_each(cls.paused(), cls.resume)

    @classmethod
    def stop_all(cls) -> int:
        """Stop every server; return how many."""
        return change_each(
            cls.where({"state": {"$in": ["starting", "running", "paused"]}}), cls.stop
        )

    @classmethod
    def counts_by_state(cls) -> dict[str, int]:
        """Count the servers by state; only states that occur."""
        return context.current().store.count_by(cls.collection_name, "state")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError, TypeError):  # or it is no number
        return True
    return not _is_unburied(pid)


def _is_unburied(pid: int) -> bool:
    """Return whether a process has ended, and only whoever started it has not asked how."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])
    except OSError:
        return False
