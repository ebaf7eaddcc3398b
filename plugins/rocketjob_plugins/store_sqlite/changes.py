"""What the threads of a process wait for: the next commit of a change, by any process."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from typing import Any

from rocketjob.base.interrupt import Interrupt

from .connection import Connection
from .connections import Connections, Process
from .location import LOG, beside
from .waiting import Bell, PollingWaiter, RungWaiter


class Changes:
    """Say whether a database has changed, and wait until it does."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def mark(self) -> Any:
        """Return a value that changes with every commit of a change."""
        process = self._connections.current_process()
        if self._connections.location.in_memory:
            return process.changes
        while True:
            watcher = self._watcher(process)
            with watcher.lock:
                if not watcher.closed:  # such as by a fork
                    version = self._version(watcher)
                    return watcher.serial, version

    def _version(self, watcher: Connection) -> int:
        """Return SQLite's count of the commits by others, with the watcher's lock held."""
        sql = "PRAGMA data_version"
        version: int = self._connections.patiently(lambda: watcher.raw.execute(sql).fetchone()[0])
        return version

    def _watcher(self, process: Process) -> Connection:
        """Return the read-only connection: `data_version` ignores a connection's own writes."""
        watcher = process.watcher
        if watcher is not None and watcher.is_of(process.generation):
            self._connections.check_files(watcher)
            return watcher
        with process.lock:
            watcher = process.watcher
            if watcher is None or not watcher.is_of(process.generation):
                generation = process.generation
                watcher = self._connections.open_file(process, generation)
                process.watchers += 1
                watcher.serial = process.watchers
                self._hang_bell(process, watcher)
                process.watcher = watcher  # the previous one closes itself when it is unused
        return watcher

    def _hang_bell(self, process: Process, watcher: Connection) -> None:
        """Let the kernel report writes to the log, which exists once the database was read."""
        with suppress(OSError), watcher.lock:
            process.bell = process.bell or Bell()
            if not watcher.closed:
                self._version(watcher)
            if not process.bell.watch(beside(self._connections.location.path, LOG)):
                process.bell = None

    def wait(self, mark: Any, timeout: float, interrupt: Interrupt | None) -> bool:
        """Wait until `mark` is outdated; see `Store.wait_for_change`."""
        process = self._connections.current_process()
        deadline = time.monotonic() + timeout
        waiter = RungWaiter(process.bell) if process.bell else PollingWaiter()
        process.waiters.append(waiter)
        try:
            with interrupt.calling(waiter.wake) if interrupt else nullcontext():
                while self.mark() == mark:
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or (interrupt is not None and interrupt.is_set()):
                        return False
                    if waiter.wait(remaining):
                        process.wake()
            return True
        finally:
            process.waiters.remove(waiter)
