"""A process of its own for `perform`, of a class with `isolation = "process"`.

A thread of the pool starts one, sends it the job, and waits for what comes back: the value or the
error, and the fields. All else stays on the thread: callbacks, hooks, what is stored. So the
process can be ended at any time, and nothing else suffers: when the time is up, when the job is
aborted, when it takes more than `max_memory`.

It is a fresh interpreter that imports the app (see `rocketjob.isolated_main`), since a fork of a
process with threads may hang. A batch job keeps one for as long as its worker is at its slices.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from rocketjob.base.errors import (
    ClaimLost,
    JobTimeout,
    MemoryExceeded,
    RocketJobError,
    ServerStopping,
)
from rocketjob.base.log import Logger
from rocketjob.base.memory import resident
from rocketjob.base.signals import name_of
from rocketjob.base.text import megabytes
from rocketjob.jobs.exception import JobException, describe_as
from rocketjob.jobs.performance import performance_of
from rocketjob.model.record import record_of, values_of
from rocketjob.store import context
from rocketjob.worker.crashes import OwnProcessEnded

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job

log = Logger("rocketjob.worker")
LOOK_SECONDS = 0.05  # between two looks at how much memory it has
END_SECONDS = 5.0  # for its end, with what the app has registered with `atexit`
E = TypeVar("E", bound=BaseException)
STOP = b""  # sent to it when the server stops


@attrs.frozen
class Call:
    """What a process is to perform.

    Attributes:
        stored: the job as it is stored.
        values: of its fields, as they are now, and of what else belongs to this call.
        assigned: the fields that were assigned and not saved.
    """

    stored: dict[str, Any]
    values: dict[str, Any]
    assigned: frozenset[str]
    claim: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@attrs.frozen
class Answer:
    """What came of it: the value or the error, pickled, and the job as it is now."""

    value: bytes | None
    error: bytes | None
    described: JobException | None
    stored: dict[str, Any]
    values: dict[str, Any]
    claim: Any


class Isolated:
    """The process in which one thread has a job performed; started with the first call."""

    def __init__(self, job: Job, worker_name: str) -> None:
        self._job, self._name = job, worker_name
        self._limit = job.memory_limit()
        self._sending = threading.Lock()
        self._popen: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def perform(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], also: Mapping[str, Any] | None = None
    ) -> Any:
        """Have the job performed there; return what it returned.

        Args:
            also: what the job object is to have there besides its fields.

        Raises:
            JobTimeout, JobAborted, ServerStopping: what the job was asked to end with.
            MemoryExceeded: it took more than `max_memory`.
            OwnProcessEnded: the process has ended by itself.
            BaseException: what perform raised.
        """
        sent = pickle.dumps(self._call(args, kwargs, also or {}))
        performance = performance_of(self._job)
        if self._popen is None:
            self._start()
        with performance.interrupting(self._asked):
            try:
                self._send(sent)
                self._wait()
                answer: Answer = pickle.loads(self._connected().recv_bytes())
            except (EOFError, OSError):
                raise self._how_it_ended() from None
        return self._take(answer)

    def _call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], also: Mapping[str, Any]
    ) -> Call:
        job, record = self._job, record_of(self._job)
        values = values_of(job)
        fields = {name: values[name] for name in job.fields()}
        assigned = frozenset(record.assigned)
        return Call(record.stored or {}, {**fields, **also}, assigned, record.claim, args, kwargs)

    def _take(self, answer: Answer) -> Any:
        """Give the job what has changed there, and return or raise what came of it."""
        job, record, values = self._job, record_of(self._job), values_of(self._job)
        if answer.stored != record.stored:  # it was saved there
            record.was_stored(answer.stored)
        for name in job.fields():
            if values[name] != answer.values[name]:
                values[name] = answer.values[name]
                record.assigned.add(name)
        record.claim = answer.claim
        if answer.described is None:
            return None if answer.value is None else pickle.loads(answer.value)
        raise self._error(answer, answer.described)

    def _error(self, answer: Answer, described: JobException) -> BaseException:
        asked = performance_of(self._job).asked
        error: BaseException | None = None
        if answer.error is not None:
            with contextlib.suppress(Exception):
                error = pickle.loads(answer.error)
        if isinstance(error, ServerStopping) and isinstance(asked, ServerStopping):
            return asked
        if error is None:  # its class cannot be sent
            error = RocketJobError(f"{described.class_name}: {described.message}")
        describe_as(error, described)
        if described.backtrace:
            error.add_note("In its own process:\n" + "\n".join(described.backtrace))
        return error

    # --- the process -------------------------------------------------------------------------

    def _start(self) -> None:
        current = context.current()
        ours, theirs = Pipe()
        path = [os.path.abspath(folder) for folder in sys.path]
        orders = {
            "descriptor": theirs.fileno(),
            "parent": os.getpid(),
            "path": path,
            "config": {**attrs.asdict(current.config), "create_store": False},
            "urls_from": current.directory,
            "worker_name": self._name,
        }
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "rocketjob.isolated_main", f"{self._name} isolated"],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                process_group=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            )
            self._connection = ours
            assert self._popen.stdin is not None
            with self._popen.stdin as stdin:
                stdin.write(json.dumps(orders).encode())
        finally:
            theirs.close()

    def _connected(self) -> Connection[Any, Any]:
        assert self._connection is not None
        return self._connection

    def _send(self, message: bytes) -> None:
        with self._sending:
            self._connected().send_bytes(message)

    def _asked(self, error: RocketJobError) -> None:
        """End the process, or tell it that the server stops; called from any thread."""
        if isinstance(error, ServerStopping):
            with contextlib.suppress(OSError):
                self._send(STOP)
        else:
            self._kill()

    def _kill(self) -> None:
        if self._popen is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _wait(self) -> None:
        """Wait for its answer, or its end."""
        performance, connection = performance_of(self._job), self._connected()
        longest = None if self._limit is None else LOOK_SECONDS
        while not connection.poll(performance.left(longest)):
            if performance.is_due():
                performance.ask_for_time()
                self._kill()
            if self._limit is not None and self._popen is not None:
                used = resident(self._popen.pid)
                if used > self._limit:
                    self._kill()
                    self.end()
                    much = f"It used {megabytes(used)}"
                    raise without_backtrace(
                        MemoryExceeded(f"{much}, and its max_memory is {megabytes(self._limit)}")
                    )

    def _how_it_ended(self) -> BaseException:
        popen = self._popen
        self.end()
        asked = performance_of(self._job).asked
        if isinstance(asked, JobTimeout | ClaimLost):
            return without_backtrace(asked)
        code = 0 if popen is None or popen.returncode is None else popen.returncode
        how = f"was ended by {name_of(-code)}" if code < 0 else f"ended with exit code {code}"
        how = f"its own process {how}"
        context.current().plugins.notify("own_process_died", job=self._job, how=how)
        return without_backtrace(OwnProcessEnded(how))

    def end(self) -> None:
        """End the process; one that is done has a moment for what is registered with `atexit`."""
        popen, connection = self._popen, self._connection
        self._popen = self._connection = None
        if connection is not None:
            connection.close()
        if popen is None:
            return
        try:
            popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("a process does not end and is killed", worker=self._name)
        with contextlib.suppress(OSError):  # with what it has started
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


def without_backtrace(error: E) -> E:
    """Leave out the lines that led here, which say nothing of the job."""
    describe_as(error, JobException(type(error).__name__, str(error)))
    return error
