"""Telling systemd how a service is: ready, alive, stopping (`Type=notify`, `WatchdogSec`).

It takes datagrams on the socket that `NOTIFY_SOCKET` names: see `sd_notify(3)`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from math import inf

from rocketjob.base import clock
from rocketjob.base.log import Logger

log = Logger("rocketjob.supervisor")


class Notifier:
    """Tells whoever has started this process; without one it does nothing.

    Args:
        path: of the socket; `@` before an abstract one.
        watchdog: seconds after which systemd takes a service for hung that says nothing.
    """

    def __init__(self, path: str | None, watchdog: float | None = None) -> None:
        self._path = path
        self._every = inf if watchdog is None else watchdog / 3
        self._next = 0.0
        self._is_ready = False

    @classmethod
    def of(cls, environ: MutableMapping[str, str], pid: int) -> Notifier:
        """Take it from the environment, where it is not left for the programs that jobs start."""
        path, usec = environ.pop("NOTIFY_SOCKET", None), environ.pop("WATCHDOG_USEC", "")
        is_ours = environ.pop("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog = int(usec) / 1e6 if usec.isdigit() and int(usec) and is_ours else None
        return cls(path or None, watchdog)

    def ready(self, status: str) -> None:
        """Say that the service has started; once."""
        if not self._is_ready:
            self._is_ready = True
            self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def stopping(self) -> None:
        self._tell("STOPPING=1\nSTATUS=finishing what runs")

    def alive(self) -> None:
        """Say that the service is alive, as often as that is needed."""
        if self._path is not None and clock.monotonic() >= self._next:
            self._next = clock.monotonic() + self._every
            self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if self._path is None:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # whoever does not read must not hold up the supervisor
                sender.sendto(message.encode(), address)
        except OSError as error:
            log.warning("systemd cannot be told", socket=self._path, error=str(error))
