"""What a server does beside its jobs: sweeps, and telling plugins of servers and workers that died.

Plugins do it, the kernel's own among them, on a thread that nothing else waits for.
"""

from __future__ import annotations

import queue
import threading
from datetime import timedelta
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import HookFailed
from rocketjob.base.log import Logger
from rocketjob.server.looks import Looks
from rocketjob.server.server import Server
from rocketjob.store.context import Context
from rocketjob.store.lease import Turns

log = Logger("rocketjob.sweeper")
COLLECTION = "rocket_job.turns"
KEY = "sweep"


class Sweeper:
    """Calls the hooks `sweep` and `server_sweep`, and `tell`s of what has happened.

    Args:
        server: whose it is.
        seconds: between two sweeps of this server.
        looks: says whether a sweep for all servers can have anything to do.
    """

    def __init__(
        self, application: Context, server: Server, seconds: float, looks: Looks | None = None
    ) -> None:
        self._store, self._plugins = application.store, application.plugins
        self._server, self._seconds = server, seconds
        self._every = timedelta(seconds=application.config.heartbeat_seconds)
        self._turns = Turns(self._store.collection(COLLECTION), KEY, self._every)
        self._next_turn, self._looks = 0.0, looks or Looks(None)
        self._notices: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Tell what is still to be told, within this time, and end."""
        self._notices.put(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def tell(self, hook: str, **arguments: Any) -> None:
        """Have the plugins told of something soon; what one of them does holds nobody up."""
        if self._plugins.listens(hook):
            self._notices.put((hook, arguments))

    def _run(self) -> None:
        due = 0.0
        while True:
            try:
                notice = self._notices.get(timeout=max(0.0, due - clock.monotonic()))
            except queue.Empty:
                due = clock.monotonic() + self._seconds
                self.sweep()
                continue
            if notice is None:
                return
            self._plugins.notify(notice[0], **notice[1])

    def sweep(self) -> None:
        """Sweep for this server, and for all of them where it is this one's turn."""
        self._ask("server_sweep", server=self._server)
        now = clock.monotonic()
        every = self._every.total_seconds()
        if now < self._next_turn or not self._looks.is_due("sweep", follows=every):
            return
        self._next_turn = now + every
        try:
            if self._turns.take():
                self._ask("sweep")
                self._turns.end()
        except Exception as error:
            log.warning("no sweep: the store cannot be used", error=str(error))

    def _ask(self, hook: str, **arguments: Any) -> None:
        self._plugins.answers(hook, self._failed, **arguments)

    def _failed(self, error: HookFailed) -> None:
        cause = error.__cause__
        if isinstance(cause, Exception) and self._store.is_transient(cause):
            log.warning("a sweep waits for the store", plugin=error.plugin, error=str(cause))
        else:
            self._plugins.note(error)
