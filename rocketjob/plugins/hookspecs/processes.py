"""The life of processes and servers, and what is done for all of them now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.plugins.answers import is_question, is_subscriber, list_of
from rocketjob.plugins.hookspecs.marks import hookspec

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job
    from rocketjob.server.metrics import Labels, Metric
    from rocketjob.server.questions import Question
    from rocketjob.server.server import Server
    from rocketjob.server.subscribers import Subscriber


@hookspec
def process_started(role: str, name: str) -> None:
    """Learn that a process begins its work, to open what it needs, such as a connection.

    Called once, on the main thread, when the app is imported and before the first job. One that
    raises is logged, and the process goes on.

    Args:
        role: `supervisor`; `worker`, which performs jobs, also in quarantine; or `command`, which
            is `rocketjob perform`. Programs that only create or read jobs have none.
        name: the server's, the worker process's such as `web-1:2`, or `perform`.
    """


@hookspec
def process_stopping(role: str, name: str) -> None:
    """Learn that a process ends, to write and close what you hold.

    Called on the main thread when the last job has ended; the store can still be used. That is so
    only where a process ends in an orderly way: one that is killed, or whose job outlasts the
    grace period, ends without it. So what must not be lost is stored when it happens.
    """


@hookspec
def sweep() -> None:
    """Do what is to be done now and then for all servers, such as removing what is old.

    Called by one server at a time, about every `heartbeat_seconds` (15), on a thread of the
    supervisor that has no other work. On a store that one process of a server watches for all, it
    is called so for half a minute after something was written, and then once a minute. If a server
    dies within it, or is at it for more than five minutes, another one begins: what you do has to
    bear that. One that raises is named by `doctor`, the others are called, and it is called again
    the next time.
    """


@hookspec
def server_sweep(server: Server) -> None:
    """Do what each server has to do now and then, for instance for files of its machine.

    Called by every server at least every five seconds, on the thread of `sweep`; keep it short.
    """


@hookspec
def server_lost(server: Server) -> None:
    """Learn that a server died: its heartbeat stopped, or its processes; its work was reclaimed.

    Called by the server that has removed the dead one's document, once for each death, on the
    thread of `sweep`. It is not called again if that server dies at this moment.
    """


@hookspec
def worker_died(server: Server, worker: str, how: str, performing: list[str]) -> None:
    """Learn that a worker process ended unasked.

    Called by its server, on the thread of `sweep`, whether or not its jobs are queued again
    already. It is not called if the server dies as well: see `server_lost`.

    Args:
        worker: its name, such as `web-1:2`.
        how: such as `its worker process was ended by SIGKILL (signal 9), having used up to 80 MB`.
        performing: the ids of the jobs, and of slices as `job/part`, that it was at.
    """


@hookspec
def own_process_died(job: Job, how: str) -> None:
    """Learn that the process of its own, in which a job was performed, ended unasked.

    Called by the worker process, on the job's thread, before the job, or the slice, is queued again
    or failed for it.

    Args:
        how: such as `its own process was ended by SIGKILL`.
    """


@hookspec
def metric_recorded(metric: Metric, value: float, labels: Labels) -> None:
    """Learn of what a plugin has counted with one of its own metrics.

    Called whenever something is counted, in its process, on its thread: add it up, and no more.

    Args:
        metric: the Counter or Durations; see `register_metrics`.
        value: what a counter grows by, or a duration in seconds.
        labels: the values of the metric's labels, in their order.
    """


@hookspec
@list_of("subclasses of Subscriber, or instances", is_subscriber, optional=True)
def register_subscribers(role: str) -> list[type[Subscriber] | Subscriber]:
    """Return subscribers to events, which every process of a server is to have.

    Called when it starts, with the role as in `process_started`: `supervisor` or `worker`. They are
    called on the thread that reads the events, and taken off when the process stops. A class is
    made without arguments; if that fails it is left out, and `doctor` names the plugin.
    """
    raise NotImplementedError


@hookspec
@list_of("questions: rocketjob.server.questions.Question", is_question, optional=True)
def register_questions() -> list[Question]:
    """Return what a server can be asked besides the kernel's own questions.

    Called when a server starts, in its supervisor. `rocketjob.server.questions.ask_servers` asks,
    from any process, and waits for the answers. A question is answered by the supervisor, on a
    thread of its own that answers one after the other, with the app imported and with the store of
    the server. What is returned has to be storable; an error is told to whoever asked. One whose
    name is taken is left out, and `doctor` names the plugin.
    """
    raise NotImplementedError
