"""A worker process of a server: `python -m rocketjob.worker_main`, started by the supervisor.

It obeys its standard input alone: first a line with its orders, then one command a line. When the
input ends the supervisor is gone, and the process ends too. Signals, as systemd sends them to all
processes of a service, are the supervisor's to answer. What jobs start gets them as usual.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import json
import os
import signal
import sys
import threading
from typing import IO, Any

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base import clock, printing, signals
from rocketjob.base.config import Config
from rocketjob.base.ending import end_soon
from rocketjob.base.log import Logger, put_back
from rocketjob.model.app_modules import import_app
from rocketjob.queue.dispatch import Queue
from rocketjob.server import events, lifetime
from rocketjob.server.server import MISSED_BEATS
from rocketjob.server.subscribers import QuestionSubscriber, WorkerSubscriber
from rocketjob.store import context
from rocketjob.worker import async_loop
from rocketjob.worker.bell import Rung
from rocketjob.worker.pool import WorkerPool
from rocketjob.worker.slots import Slots

log = Logger("rocketjob.worker_main")
COLLECT_AFTER = 10_000  # new objects: after 700, as by default, it takes a tenth of all the time
LATE_BEATS = 3  # claim nothing once the supervisor is so late: at four others take over


class Child:
    """One worker process."""

    def __init__(self, orders: dict[str, Any], commands: IO[str]) -> None:
        self.orders, self.commands = orders, commands
        self.config = Config(**orders["config"])
        self.slots = Slots(orders["slots"], orders["descriptor"])
        self.paused = orders["paused"]
        self.application = application.use(
            Application(self.config, indexes=False, directory=orders["urls_from"])
        )
        self.pool: WorkerPool | None = None
        bell: int | None = orders["bell"]
        self.bell = Rung(bell) if bell is not None else None
        self._descriptors = {number: _opened(number) for number in self._own_descriptors()}

    def _own_descriptors(self) -> list[int]:
        bell = self.orders["bell"]
        return [self.commands.fileno(), self.slots.descriptor, *([] if bell is None else [bell])]

    def _import_app(self) -> None:
        """Import the app's modules; what they configure is in the supervisor's orders already."""
        import_app(self.config.app)
        put_back()  # the log, if the app has configured logging
        before, imported = self.application, context.current()
        if imported is not before:
            application.use(before)
            imported.close()
        signals.be_deaf()  # whatever the app has set

    def run(self) -> None:
        self._import_app()
        plugins = self.application.plugins
        plugins.collect("register_jobs")
        queue = Queue(
            self.application.store,
            plugins,
            self.config,
            self.orders["claimed_by"],
            self.orders["worker_name"],
            quarantined=self.orders["quarantined"],
        )
        self.pool = WorkerPool(
            queue,
            self.orders["threads"],
            self.config,
            self._may_claim,
            self.slots,
            self.orders["async_workers"],
        )
        self.pool.bell = self.bell
        self.pool.trouble = self._trouble
        self.pool.end_when_idle = self.orders["quarantined"]
        threading.Thread(target=self._obey, name="commands", daemon=True).start()
        listener = events.Listener(self.bell).start()
        with (
            plugins.watched(),
            lifetime.subscribers(plugins, lifetime.WORKER),
            WorkerSubscriber.subscribed(self.pool),
            QuestionSubscriber.subscribed(
                queue.claimed_by,
                queue.worker_name,
                lambda: self.pool.all_workers() if self.pool else (),
            ),
            lifetime.told_of(plugins, lifetime.WORKER, queue.worker_name),
            context.fixed(),  # since a job that connects elsewhere would move the jobs beside it
        ):
            gc.freeze()  # what was imported stays: no collection is to look through it
            self.slots.set_ready()
            log.debug("ready", worker=queue.worker_name, threads=self.orders["threads"])
            self.pool.run()
        listener.stop()
        async_loop.close()
        self.application.close()

    def _may_claim(self) -> bool:
        if self.paused:
            return False
        return self._silence() < LATE_BEATS * self.config.heartbeat_seconds

    def _trouble(self) -> str | None:
        """Return what a job has done to its process that makes it useless."""
        if any(_opened(number) != opened for number, opened in self._descriptors.items()):
            return "a job has closed descriptors that are not its own"
        return None

    def _silence(self) -> float:
        """Return the seconds since the supervisor last beat."""
        return clock.monotonic() - self.slots.beat

    def _obey(self) -> None:
        """Carry out the supervisor's commands until it is gone."""
        is_told = False
        try:
            is_told = self._obey_until_stop()
        finally:
            if self.pool is not None:
                self.pool.stop()
        if not is_told:
            self._outlive()

    def _obey_until_stop(self) -> bool:
        for line in self.commands:
            command = line.strip()
            if command in ("pause", "resume"):
                self.paused = command == "pause"
            elif command == "dump":
                faulthandler.dump_traceback(all_threads=True)
            elif command == "stop":
                return True
            elif command == "retire" and self.pool is not None:
                self.pool.retire()
            if self.pool is not None:
                self.pool.wake()
        return False

    def _outlive(self) -> None:
        """Finish what runs without a supervisor, for as long as nobody else takes it over."""
        log.error("the supervisor died: ending")
        while self._silence() < MISSED_BEATS * self.config.heartbeat_seconds:
            threading.Event().wait(min(1.0, self.config.heartbeat_seconds / 4))
        log.error("other servers take over what still runs here: ending at once")
        threading.Event().wait(0.1)  # for the log
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with what the jobs have started
        os._exit(1)


def _opened(descriptor: int) -> tuple[int, int] | None:
    """Return which file a descriptor is of; None if it is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def main() -> None:
    """Read the orders and work until told to stop."""
    signals.be_deaf()
    printing.be_lenient()
    faulthandler.enable()
    commands = os.fdopen(os.dup(0), encoding="utf-8")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)  # user code that reads standard input finds its end
    orders = json.loads(commands.readline())
    sys.path[:] = orders["path"]
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])  # before the app, which may want else
    child = Child(orders, commands)
    service = child.application.log_service().start()
    atexit.register(service.stop)  # registered first, called last
    code = 0
    try:
        child.run()
    except BaseException:
        log.exception("the worker process failed")
        code = 1
    end_soon(code, last=service.stop)
    sys.exit(code)


if __name__ == "__main__":
    main()
