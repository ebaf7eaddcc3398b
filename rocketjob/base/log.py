"""Structured logging: a short message, and data as fields.

`job.logger.info("building", username="Jack")` binds the job's id and class. Nothing is formatted
by the thread that logs: see `rocketjob.base.log_service`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rocketjob.base.tracebacks import from_job_code

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
BY_OWN_LEVEL = "rocketjob_by_own_level"  # of a record: a job's own level has let it pass
names: set[str] = set()  # of the loggers that are ours


class Service(Protocol):
    """What writes the log of this process."""

    level: str

    @property
    def is_heard(self) -> bool: ...

    def put_back(self) -> None: ...

    def set_level(self, level: str) -> None: ...

    def before_fork(self) -> None: ...

    def after_fork(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


services: list[Service] = []  # those that write


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
        names.add(name)
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

    def exception(
        self, message: str, raised: BaseException | None = None, /, **fields: Any
    ) -> None:
        """Log an error with an exception: the one that is being handled, if none is given.

        Its traceback begins with the job's own code; at the level debug it is whole.
        """
        self._log(logging.ERROR, message, fields, raised or sys.exc_info()[1])

    def fatal(self, message: str, **fields: Any) -> None:
        self._log(logging.CRITICAL, message, fields)

    critical = fatal

    def _log(
        self,
        level: int,
        message: str,
        fields: Mapping[str, Any],
        raised: BaseException | None = None,
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
            None if raised is None else self._shown(raised),
            extra={FIELDS: {**self.fields, **fields}, BY_OWN_LEVEL: self._level is not None},
        )
        # The level was judged above: a job's own level may be lower than the logger's.
        self._logger.handle(record)

    def _shown(self, error: BaseException) -> Any:
        frames = error.__traceback__
        whole = self.enabled(logging.DEBUG)
        return type(error), error, frames if whole else from_job_code(frames)


def is_heard() -> bool:
    """Return whether the server's log is written still, where there is one."""
    return all(service.is_heard for service in services)


def put_back() -> None:
    """Have the server's log written, if an app or a job has configured logging."""
    for service in list(services):
        service.put_back()


def set_level(level: str, name: str | None = None) -> None:
    """Change the level of one logger, or of all."""
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    logging.getLogger(name).setLevel(LEVELS[level])
    for service in services if name is None else ():
        service.set_level(level)
    package = logging.getLogger(__name__.partition(".")[0])
    if name is None and package.level != logging.NOTSET:
        package.setLevel(LEVELS[level])


def keep_level(name: str | None = None) -> Callable[[], None]:
    """Return what brings the level of one logger, or of all, back to what it is now."""
    logger, package = logging.getLogger(name), logging.getLogger(__name__.partition(".")[0])
    kept = [(each, each.level) for each in ((logger,) if name else (logger, package))]
    of_services = [(service, service.level) for service in services if name is None]

    def restore() -> None:
        for service, level in of_services:
            service.set_level(level)
        for each, number in kept:
            each.setLevel(number)

    return restore


def _before_fork() -> None:
    for service in list(services):
        service.before_fork()


def _after_fork() -> None:
    for service in list(services):
        service.after_fork()


def _after_fork_in_child() -> None:
    for service in list(services):
        service.after_fork_in_child()
    services.clear()


log = Logger(__name__)
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork,
    after_in_child=_after_fork_in_child,
)
