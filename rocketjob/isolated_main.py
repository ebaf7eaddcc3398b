"""A process that performs one job for a thread of a worker process: see `worker.isolated`.

It gets its orders by standard input, and then calls over a connection; when that ends, so does it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import json
import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base import printing, signals
from rocketjob.base.config import Config
from rocketjob.base.ending import end_soon
from rocketjob.base.errors import ServerStopping
from rocketjob.base.log import Logger, put_back
from rocketjob.jobs import claims
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.job import Job
from rocketjob.jobs.performance import performance_of
from rocketjob.jobs.performing import now_performing
from rocketjob.model.app_modules import import_app
from rocketjob.model.record import record_of, values_of
from rocketjob.server import lifetime
from rocketjob.store import context
from rocketjob.worker import async_loop, runner
from rocketjob.worker.contexts import in_fresh_context
from rocketjob.worker.isolated import STOP, Answer, Call

__tracebackhide__ = True  # it is `__main__`: an error is shown from the job's own code on
log = Logger("rocketjob.isolated_main")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Performer:
    """Performs what comes over a connection, one call after the other."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._job: Job | None = None
        self._is_stopping = False

    def run(self) -> None:
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        while (sent := self._calls.get()) is not None:
            answer = in_fresh_context(self._answer, sent)
            with contextlib.suppress(BrokenPipeError):
                self._connection.send_bytes(pickle.dumps(answer))

    def _listen(self) -> None:
        """Take calls, and hear that the server stops, until the other side is gone."""
        while True:
            try:
                message = self._connection.recv_bytes()
            except (EOFError, OSError):
                self._calls.put(None)
                return
            if message == STOP:
                self._is_stopping = True
                if (job := self._job) is not None:
                    performance_of(job).ask(ServerStopping())
            else:
                self._calls.put(message)

    def _answer(self, sent: bytes) -> Answer:
        call: Call = pickle.loads(sent)
        job = _job_of(call)
        self._job = job
        if self._is_stopping:
            performance_of(job).ask(ServerStopping())
        now_performing(job)
        value, error, described = None, None, None
        try:
            value = _pickled(runner.performed(job, call.args, call.kwargs))
        except BaseException as raised:
            error, described = _sendable(raised), JobException.of(raised)
        finally:
            self._job = None
        job.bring_back()
        record = record_of(job)
        fields = {name: values_of(job)[name] for name in job.fields()}
        try:
            pickle.dumps(fields)
        except Exception as unsendable:
            described = JobException.of(_cannot_be_sent("what perform set on the job", unsendable))
            fields = {name: call.values[name] for name in job.fields()}
            value = error = None
        return Answer(value, error, described, record.stored or {}, fields, record.claim)


def _job_of(call: Call) -> Job:
    job: Job = Job.from_document(call.stored)
    values_of(job).update(call.values)
    record_of(job).assigned.update(call.assigned)
    if call.claim is not None:
        claims.hold(job, call.claim)
    return job


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise _cannot_be_sent("what perform returned", error) from error


def _cannot_be_sent(what: str, error: Exception) -> TypeError:
    return TypeError(f"{what} cannot be sent from its own process: {error}")


def _sendable(error: BaseException) -> bytes | None:
    """Return an error pickled, if it comes out of that as it was."""
    try:
        sent = pickle.dumps(error)
        return sent if str(pickle.loads(sent)) == str(error) else None
    except Exception:
        return None


def _die_with(parent: int) -> None:
    """End at once when the worker process does; without that, when the connection is seen to."""
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Import the app and perform what comes."""
    signals.be_deaf()
    printing.be_lenient()
    faulthandler.enable()
    orders = json.loads(sys.stdin.buffer.read())
    _die_with(orders["parent"])
    sys.path[:] = orders["path"]
    connection: Connection[Any, Any] = Connection(orders["descriptor"])
    app = application.use(
        Application(Config(**orders["config"]), indexes=False, directory=orders["urls_from"])
    )
    service = app.log_service().start()
    atexit.register(service.stop)  # registered first, called last
    code = 0
    try:
        import_app(app.config.app)
        put_back()  # the log, if the app has configured logging
        if context.current() is not app:
            context.current().close()
            application.use(app)
        app.plugins.collect("register_jobs")
        with lifetime.told_of(app.plugins, lifetime.WORKER, orders["worker_name"]), context.fixed():
            Performer(connection).run()
        async_loop.close()
        app.close()
    except BaseException:
        log.exception("the process of a job failed")
        code = 1
    end_soon(code, last=service.stop)
    sys.exit(code)


if __name__ == "__main__":
    main()
