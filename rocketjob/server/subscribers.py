"""Subscribers: classes whose methods are called when an event of their name is published.

class CacheFlusher(Subscriber):
    def flush(self, *, region: str): ...

CacheFlusher.subscribe()                        # in the processes that have a cache
CacheFlusher.publish("flush", region="eu")      # in any process
"""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from bson import ObjectId

from rocketjob.base.log import Logger, set_level
from rocketjob.server import answers, events
from rocketjob.server.levels import levels
from rocketjob.server.questions import EVENT, Answerer, Question
from rocketjob.server.server import Server
from rocketjob.worker.stacks import AtWork, stacks, work

log = Logger("rocketjob.subscribers")


class Subscriber:
    """Base of subscribers; the public methods of a subclass are its actions.

    `event_name` is the class's name if it is not set; with `*` the subscriber gets every event,
    through `process_event`.
    """

    event_name: ClassVar[str | None] = None

    @classmethod
    def name_of_event(cls) -> str:
        return cls.event_name or cls.__name__

    @classmethod
    def subscribe(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a subscriber with these arguments and register it; return it as the handle."""
        return cls(*args, **kwargs).add()

    def add(self) -> Self:
        """Register this subscriber."""
        events.add(self.name_of_event(), self)
        return self

    def unsubscribe(self) -> None:
        """Take exactly this subscriber off."""
        events.remove(self.name_of_event(), self)

    @classmethod
    @contextlib.contextmanager
    def subscribed(cls, *args: Any, **kwargs: Any) -> Iterator[Self]:
        """Subscribe for the length of a block."""
        subscriber = cls.subscribe(*args, **kwargs)
        try:
            yield subscriber
        finally:
            subscriber.unsubscribe()

    @classmethod
    def publish(cls, action: str, /, **parameters: Any) -> None:
        """Call an action of all subscribers of this class, in every process that listens.

        Raises:
            ValueError: there is no such action, or a parameter cannot be stored.
            NotImplementedError: for a subscriber to all events, which has no name of its own.
        """
        if cls.event_name == "*":
            raise NotImplementedError(f"{cls.__name__} takes all events and has none of its own")
        if cls._action(action) is None:
            known = ", ".join(sorted(cls.actions()))
            raise ValueError(f"{cls.__name__} has no action {action}; it has {known or 'none'}")
        events.publish(cls.name_of_event(), action, **parameters)

    @classmethod
    def actions(cls) -> list[str]:
        """Name the actions: the public methods that the subclasses of `Subscriber` add."""
        return [name for name in dir(cls) if cls._action(name) is not None]

    @classmethod
    def _action(cls, name: str) -> Callable[..., Any] | None:
        if name.startswith("_") or hasattr(Subscriber, name):
            return None
        method = getattr(cls, name, None)
        return method if inspect.isfunction(method) else None

    def process_action(self, action: str, parameters: Mapping[str, Any]) -> None:
        """Call one action; an action that takes no parameters is called without any."""
        function = self._action(action)
        if function is None:
            log.warning("unknown action", subscriber=type(self).__name__, action=action)
            return
        takes = list(inspect.signature(function).parameters)[1:]
        function(self, **parameters) if takes else function(self)

    def process_event(self, name: str, action: str, parameters: Mapping[str, Any]) -> None:
        """Take any event; for subscribers whose `event_name` is `*`."""


class LoggerSubscriber(Subscriber):
    """Changes log levels while a process runs, and writes the stacks of its threads."""

    event_name = "logger"

    def set(
        self,
        level: str = "info",
        class_name: str | None = None,
        host_name: str | None = None,
        pid: int | None = None,
    ) -> None:
        if self._is_meant(host_name, pid):
            set_level(level, class_name)

    def thread_dump(self, host_name: str | None = None, pid: int | None = None) -> None:
        if self._is_meant(host_name, pid):
            faulthandler.dump_traceback(all_threads=True)

    def _is_meant(self, host_name: str | None, pid: int | None) -> bool:
        return host_name in (None, socket.gethostname()) and pid in (None, os.getpid())


class Interruptible(Protocol):
    """What performs jobs, and can ask one to end: see `rocketjob.worker.pool`."""

    def interrupt(self, id: ObjectId) -> None: ...


class WorkerSubscriber(Subscriber):
    """Lets a job that was aborted, or taken from its worker in another way, end early."""

    event_name = "worker"

    def __init__(self, pool: Interruptible) -> None:
        self._pool = pool

    @classmethod
    def tell_of(cls, job: Any) -> None:
        """Announce that a running job was taken from its worker; an error is only logged."""
        try:
            cls.publish("taken", job_id=str(job.id))
        except Exception as error:  # what is written of the job is refused all the same
            job.logger.warning("its worker is not told of it", error=str(error))

    def taken(self, job_id: str) -> None:
        self._pool.interrupt(ObjectId(job_id))


class Commanded(Protocol):
    """What a server can be told to do; its supervisor does it."""

    @property
    def server(self) -> Server: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def wake(self) -> None: ...

    def dump(self) -> None: ...


class ServerSubscriber(Subscriber):
    """Lets a server be told what to do: by its id, by its name, or all of them."""

    event_name = "server"

    def __init__(self, supervisor: Commanded) -> None:
        self.supervisor = supervisor

    def stop(self, server_id: str | None = None, name: str | None = None) -> None:
        if self._is_meant(server_id, name):
            self.supervisor.stop()

    def kill(self, server_id: str | None = None, name: str | None = None) -> None:
        if self._is_meant(server_id, name):
            self.supervisor.kill()

    def pause(self, server_id: str | None = None, name: str | None = None) -> None:
        if self._is_meant(server_id, name):
            self.supervisor.pause()

    def resume(self, server_id: str | None = None, name: str | None = None) -> None:
        if self._is_meant(server_id, name):
            self.supervisor.resume()

    def refresh(self, server_id: str | None = None, name: str | None = None) -> None:
        if self._is_meant(server_id, name):
            self.supervisor.wake()

    def thread_dump(self, server_id: str | None = None, name: str | None = None) -> None:
        if self._is_meant(server_id, name):
            self.supervisor.dump()

    def _is_meant(self, server_id: str | None, name: str | None) -> bool:
        server = self.supervisor.server
        if server_id is None and name is None:
            return True
        return name == server.name or server_id == str(server.id)


class QuestionSubscriber(Subscriber):
    """Answers for one process of a server what is asked of the whole server.

    Args:
        who: the process: a server's incarnation, or the name under which a worker process claims.
        name: for people.
        workers: returns its worker threads.
        others: returns what is known of the server's other processes, by the same kind of name.
        brought: what plugins answer; None: it is not for this process to answer that.
    """

    event_name = EVENT

    def __init__(
        self,
        who: str,
        name: str,
        workers: Callable[[], Sequence[AtWork]] = tuple,
        others: Callable[[], dict[str, Any]] = dict,
        brought: Sequence[Question] | None = None,
    ) -> None:
        self._who, self._name, self._workers, self._others = who, name, workers, others
        self._answerer = None if brought is None else Answerer(brought)

    def process_action(self, action: str, parameters: Mapping[str, Any]) -> None:
        """Answer, or have what plugins answer answered on another thread."""
        if self._action(action) is not None:
            super().process_action(action, parameters)
        elif self._answerer is not None and self._is_meant(parameters["servers"]):
            asked = dict(parameters)
            question = asked.pop("question")
            del asked["servers"]
            self._answerer.take(action, question, asked, self._give_alone)

    def stacks(self, question: str, servers: list[str]) -> None:
        """Answer with the stack of each thread."""
        if self._is_meant(servers):
            self._give(question, threads=stacks(self._workers()))

    def work(self, question: str, servers: list[str]) -> None:
        """Answer with what each worker is at, and how many there are."""
        if self._is_meant(servers):
            workers = self._workers()
            self._give(question, workers=len(workers), work=work(workers))

    def log_level(
        self,
        question: str,
        servers: list[str],
        level: str,
        logger: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Change a level of the log, for a while, and say so."""
        if self._is_meant(servers):
            levels.set(level, logger, seconds)
            log.info("the level of the log was changed", level=level, logger=logger or "all")
            self._give(question, level=level)

    def _give(self, question: str, **content: Any) -> None:
        """Answer for this process; the server's others, which are named, answer too."""
        self._give_alone(question, others=self._others(), **content)

    def _give_alone(self, question: str, **content: Any) -> None:
        answers.give(question, self._who, name=self._name, pid=os.getpid(), **content)

    def _is_meant(self, servers: list[str]) -> bool:
        return self._who.partition(".")[0] in servers
