"""Structured logging: a short message, and data as fields.

`job.logger.info("building", username="Jack")` binds the job's id and class. Nothing is formatted
by the thread that logs: a record goes through a queue to a listener thread, which renders it as
text or JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from rocketjob.base.passwords import bounded, hide_passwords, without_passwords
from rocketjob.base.tracebacks import from_job_code

if TYPE_CHECKING:
    import logging.handlers
    import queue

TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
NAMES = {number: name for name, number in LEVELS.items()}
FIELDS = "rocketjob_fields"
FORK_SECONDS = 1.0  # how long a fork waits for a line that is being written
_names: set[str] = set()  # of the loggers that are ours
STOP_SECONDS = 3.0  # for what is still to be written
_services: list[LogService] = []  # those that write


class Logger:
    """Log events with fields; `bind` adds fields to all that follow.

    Args:
        name: of the standard library's logger underneath.
        fields: bound to every event.
        level: instead of the level of the logger underneath, where it is set.
    """

    __slots__ = ("_level", "_logger", "fields")

    def __init__(
        self, name: str, fields: Mapping[str, Any] | None = None, level: str | None = None
    ) -> None:
        self._logger = logging.getLogger(name)
        _names.add(name)
        self.fields = dict(fields or {})
        self._level = LEVELS.get(level or "")

    def bind(self, **fields: Any) -> Logger:
        """Return a logger with more fields."""
        logger = Logger(self._logger.name, {**self.fields, **fields})
        logger._level = self._level
        return logger

    def enabled(self, level: int) -> bool:
        return level >= self._level if self._level is not None else self._logger.isEnabledFor(level)

    def trace(self, message: str, **fields: Any) -> None:
        self._log(TRACE, message, fields)

    def debug(self, message: str, **fields: Any) -> None:
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._log(logging.WARNING, message, fields)

    warn = warning

    def error(self, message: str, **fields: Any) -> None:
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """Log an error with the exception that is being handled.

        Its traceback begins with the job's own code; at the level debug it is whole.
        """
        self._log(logging.ERROR, message, fields, exception=True)

    def fatal(self, message: str, **fields: Any) -> None:
        self._log(logging.CRITICAL, message, fields)

    critical = fatal

    def _log(
        self, level: int, message: str, fields: Mapping[str, Any], exception: bool = False
    ) -> None:
        if not self.enabled(level):
            return
        record = self._logger.makeRecord(
            self._logger.name,
            level,
            "",
            0,
            message,
            (),
            _present_exception(self.enabled(logging.DEBUG)) if exception else None,
            extra={FIELDS: {**self.fields, **fields}},
        )
        # The level was judged above: a job's own level may be lower than the logger's.
        self._logger.handle(record)


def _present_exception(whole: bool) -> Any:
    kind, error, frames = sys.exc_info()
    return None if kind is None else (kind, error, frames if whole else from_job_code(frames))


MAX_TRACEBACK = 200_000  # characters


class ConsoleFormatter(logging.Formatter):
    """One line a record: time, level, process, logger, message, fields; then any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        level = NAMES.get(record.levelno, record.levelname.lower())
        fields = getattr(record, FIELDS, {})
        shown = "".join(f" {key}={_brief(value)}" for key, value in fields.items())
        line = f"{at} {level:5} [{record.process}] {record.name}: {record.getMessage()}{shown}"
        return hide_passwords(f"{line}\n{_traceback(record)}" if record.exc_info else line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": NAMES.get(record.levelno, record.levelname.lower()),
            "logger": record.name,
            "pid": record.process,
            "thread": record.threadName,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = _traceback(record)
        shown = without_passwords(line)
        return json.dumps(
            shown, default=lambda value: hide_passwords(str(value)), ensure_ascii=False
        )


def _brief(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "='\"" for c in text) else text


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info or not isinstance(record.exc_info, tuple):
        return ""
    return bounded("".join(traceback.format_exception(*record.exc_info)).rstrip(), MAX_TRACEBACK)


class _QueueHandler(logging.Handler):
    """Hand the record over as it is: the standard one formats it first, which nobody may read."""

    def __init__(self, pending: queue.SimpleQueue[logging.LogRecord]) -> None:
        super().__init__()
        self._pending = pending

    def emit(self, record: logging.LogRecord) -> None:
        if record.args:
            record.msg, record.args = record.getMessage(), ()  # arguments may change until then
        self._pending.put_nowait(record)


class LogService:
    """The process's log output, written by its own thread between `start` and `stop`.

    Args:
        level: one of trace, debug, info, warn, error, fatal.
        target: `console` (standard error), `json` (standard output), or the name of a file that
            is appended to; a name that ends in `.json` or `.jsonl` gets JSON.
    """

    def __init__(self, level: str = "info", target: str = "console") -> None:
        self.level, self.target = level, target
        self._file: TextIO | None = None
        self._listener: logging.handlers.QueueListener | None = None
        self._handler: logging.Handler | None = None
        self._is_quiet = False

    def start(self) -> LogService:
        import logging.handlers  # with sockets and pickles, which only servers have to pay for
        import queue

        handler = self._output()
        pending: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._handler = _QueueHandler(pending)
        self._listener = logging.handlers.QueueListener(pending, handler)
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(LEVELS[self.level])
        self._listener.start()
        _services.append(self)
        return self

    @property
    def is_heard(self) -> bool:
        """Whether what is logged reaches its output, whoever has configured logging since."""
        root = logging.getLogger()
        return self._handler in root.handlers and not (log._logger.disabled or root.manager.disable)

    def put_back(self) -> None:
        """Have it reach its output again; what an app has set besides stays as it is."""
        root, level = logging.getLogger(), LEVELS[self.level]
        if self._handler is not None and self._handler not in root.handlers:
            root.addHandler(self._handler)
        logging.disable(logging.NOTSET)
        package = logging.getLogger(__name__.partition(".")[0])
        known = list(root.manager.loggerDict)  # other threads may add to it
        ours = [name for name in known if name.startswith(package.name)]
        for name in (*_names, *ours):  # dictConfig disables those that it does not name
            logging.getLogger(name).disabled = False
        if root.level != level and package.level == logging.NOTSET:
            package.setLevel(level)

    def _output(self) -> logging.Handler:
        if self.target in ("console", "json"):
            stream = sys.stdout if self.target == "json" else sys.stderr
            handler: logging.Handler = logging.StreamHandler(stream)
        else:
            from rocketjob.base.log_file import LogFile  # for start-up time

            handler = LogFile(self.target, encoding="utf-8")
        as_json = self.target == "json" or self.target.endswith((".json", ".jsonl"))
        handler.setFormatter(JsonFormatter() if as_json else ConsoleFormatter())
        return handler

    def before_fork(self) -> None:
        """Wait until no line is half written."""
        self._is_quiet = all(
            output.lock is None or output.lock.acquire(timeout=FORK_SECONDS)
            for output in self._outputs()
        )

    def after_fork(self) -> None:
        """Go on, in the parent."""
        if self._is_quiet:
            for output in self._outputs():
                output.release()

    def after_fork_in_child(self) -> None:
        """Write at once, in a child: the thread that reads the queue was not forked."""
        root, outputs = logging.getLogger(), self._outputs()
        if self._handler in root.handlers and outputs and self._is_quiet:
            root.addHandler(outputs[0])
        if self._handler is not None:
            root.removeHandler(self._handler)
        self._listener = self._handler = None

    def _outputs(self) -> tuple[logging.Handler, ...]:
        return self._listener.handlers if self._listener is not None else ()

    def stop(self) -> None:
        """Write what is still queued, within reason: perhaps nobody reads it."""
        if self._listener is None or self._handler is None:
            return
        _services.remove(self)
        logging.getLogger().removeHandler(self._handler)
        writing = self._listener._thread  # its `stop` has no timeout
        self._listener.enqueue_sentinel()
        if writing is not None:
            writing.join(STOP_SECONDS)
        if writing is None or not writing.is_alive():
            for handler in self._listener.handlers:
                handler.close()
        self._listener = self._handler = None


def is_heard() -> bool:
    """Return whether the server's log is written still, where there is one."""
    return all(service.is_heard for service in _services)


def put_back() -> None:
    """Have the server's log written, if an app or a job has configured logging."""
    for service in list(_services):
        service.put_back()


def set_level(level: str, name: str | None = None) -> None:
    """Change the level of one logger, or of all."""
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    logging.getLogger(name).setLevel(LEVELS[level])
    package = logging.getLogger(__name__.partition(".")[0])
    if name is None and package.level != logging.NOTSET:
        package.setLevel(LEVELS[level])


def _before_fork() -> None:
    for service in list(_services):
        service.before_fork()


def _after_fork() -> None:
    for service in list(_services):
        service.after_fork()


def _after_fork_in_child() -> None:
    for service in list(_services):
        service.after_fork_in_child()
    _services.clear()


log = Logger(__name__)
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork,
    after_in_child=_after_fork_in_child,
)
