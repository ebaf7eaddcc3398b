"""Send the log to a syslog: the one of this machine, or one on the network.

    log = ["console", {target = "syslog", level = "warn"}]
    log = [{target = "syslog", host = "logs.example.com", port = 514, protocol = "tcp"}]

Without `host` it is the machine's own, through `path` (`/dev/log`). A line for the network is as in
RFC 5424; over TCP each has its length before it (RFC 6587), so that a traceback stays one message.
Over UDP nobody tells when a line gets lost; over TCP lines wait while the server refuses.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rocketjob import hookimpl
from rocketjob.base.log_format import ConsoleFormatter, level_of
from rocketjob.base.log_targets import LogTarget
from rocketjob.base.settings import Setting, string, whole

LONGEST = 8192  # bytes of a message that is one packet; what servers take by default
SECONDS = 5.0  # a server that does not answer for so long is away
SEVERITIES = {"trace": 7, "debug": 7, "info": 6, "warn": 4, "error": 3, "fatal": 2}
FACILITIES = {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "cron": 9}
FACILITIES |= {f"local{number}": 16 + number for number in range(8)}


class SyslogHandler(logging.Handler):
    """Sends each record as one message; connects when there is something to send.

    Raises OSError from `emit` while the syslog cannot be reached.
    """

    def __init__(
        self, host: str | None, port: int, protocol: str, path: str, facility: str, app: str
    ) -> None:
        super().__init__()
        self._host, self._port, self._path = host, port, path
        self._is_stream = host is not None and protocol == "tcp"
        self._facility, self._app = FACILITIES[facility], app
        self._machine = socket.gethostname() or "-"
        self._socket: socket.socket | None = None
        self._connected_in = 0
        self.setFormatter(ConsoleFormatter(begins=False))

    def emit(self, record: logging.LogRecord) -> None:
        message = self._message(record)
        self._look()
        if self._socket is None:
            self._socket, self._connected_in = self._connect(), os.getpid()
        try:
            self._socket.sendall(message)
        except OSError:
            self._disconnect()
            raise

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _message(self, record: logging.LogRecord) -> bytes:
        priority = self._facility * 8 + SEVERITIES.get(level_of(record), 6)
        text = self.format(record)
        if self._host is None:
            return f"<{priority}>{self._app}[{record.process}]: {text}".encode()[:LONGEST]
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = f"<{priority}>1 {at} {self._machine} {self._app} {record.process} - - "
        message = (head + text).encode("utf-8", "replace")
        return b"%d %s" % (len(message), message) if self._is_stream else message[:LONGEST]

    def _look(self) -> None:
        """Leave a connection that its server has closed, or that belongs to the parent process."""
        if self._socket is None:
            return
        if self._connected_in != os.getpid() or (self._is_stream and _is_closed(self._socket)):
            self._disconnect()

    def _connect(self) -> socket.socket:
        if self._host is None:
            return _connected(socket.AF_UNIX, socket.SOCK_DGRAM, self._path)
        kind = socket.SOCK_STREAM if self._is_stream else socket.SOCK_DGRAM
        last: OSError | None = None
        for family, _, _, _, address in socket.getaddrinfo(self._host, self._port, 0, kind):
            try:
                return _connected(family, kind, address)
            except OSError as error:
                last = error
        raise last or OSError(f"{self._host} has no address")

    def _disconnect(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _connected(family: int, kind: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind)
    try:
        made.settimeout(SECONDS)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed it: the next line would vanish without an error."""
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(SECONDS)


def _protocol(value: Any) -> str:
    if value not in ("udp", "tcp"):
        raise ValueError("must be udp or tcp")
    return str(value)


def _facility(value: Any) -> str:
    if value not in FACILITIES:
        raise ValueError(f"must be one of {', '.join(FACILITIES)}")
    return str(value)


OPTIONS: tuple[Setting[Any], ...] = (
    Setting("host", None, string, "the server; this machine's own syslog if not set"),
    Setting("port", 514, whole(1), "of the server"),
    Setting("protocol", "udp", _protocol, "udp or tcp"),
    Setting("path", "/dev/log", string, "the socket of this machine's syslog"),
    Setting("facility", "user", _facility, "such as daemon or local0"),
    Setting("app", "rocketjob", string, "the name that lines have"),
)


def _make(options: Mapping[str, Any]) -> logging.Handler:
    return SyslogHandler(**options)


@hookimpl
def register_log_targets() -> list[LogTarget]:
    return [LogTarget("syslog", _make, "a syslog, here or on the network", OPTIONS, in_forks=True)]
