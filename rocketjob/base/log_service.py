"""The log output of a process: what is logged, handed to each target that is to get it."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable

from rocketjob.base import clock, log
from rocketjob.base.log import BY_OWN_LEVEL, LEVELS
from rocketjob.base.log_outlet import Outlet
from rocketjob.base.log_targets import (
    KERNEL_TARGETS,
    LogTarget,
    Wanted,
    found,
    handler_of,
    wanted,
)

FORK_SECONDS = 1.0  # how long a fork waits for a line that is being written
STOP_SECONDS = 3.0  # for what is still to be written
SAY_SECONDS = 1.0

Takes = Callable[[logging.LogRecord], bool]


class LogService:
    """The process's log output, written by threads of its own between `start` and `stop`.

    Args:
        level: one of trace, debug, info, warn, error, fatal; of the targets that have no own.
        log: as in the setting: the name of a target, of a file that is appended to (one that ends
            in `.json` or `.jsonl` gets JSON), or a list of targets with options.
        targets: those that there are.

    Raises:
        WrongSetting: one of them does not exist, or its options are wrong.
    """

    def __init__(
        self,
        level: str = "info",
        log: object = "console",
        targets: Iterable[LogTarget] = KERNEL_TARGETS,
    ) -> None:
        self.level = level
        by_name = {target.name: target for target in targets}
        self._wanted = [(one, found(one, by_name)) for one in wanted(log)]
        self._outlets: list[tuple[Takes, Outlet]] = []
        self._handler: _Intake | None = None

    def start(self) -> LogService:
        """Begin to write.

        Raises:
            RocketJobError: a target cannot be opened, or its options are wrong.
        """
        made: list[tuple[Takes, Outlet]] = []
        try:
            for one, target in self._wanted:
                made.append(
                    (functools.partial(self._takes, one, _filter(one)), self._outlet(one, target))
                )
        except BaseException:
            for _, outlet in made:
                outlet.handler.close()
            raise
        self._outlets, self._handler = made, _Intake(made)
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(self._lowest)
        for _, outlet in made:
            outlet.start()
        log.services.append(self)
        return self

    def _outlet(self, one: Wanted, target: LogTarget) -> Outlet:
        handler = handler_of(one, target)
        buffer = one.common["buffer"]
        outlet = Outlet(
            target.name, handler, buffer, target.is_local, target.in_forks, self._tell_others
        )
        outlet.note = target.note
        return outlet

    # --- who gets what -----------------------------------------------------------------------

    @property
    def _lowest(self) -> int:
        """The lowest level that any target is to get."""
        own = [LEVELS[one.common["level"]] for one, _ in self._wanted if one.common["level"]]
        common = [LEVELS[self.level]] if len(own) < len(self._wanted) else []
        return min(own + common)

    def _takes(
        self, one: Wanted, filter: re.Pattern[str] | None, record: logging.LogRecord
    ) -> bool:
        if filter is not None and not filter.search(record.name):
            return False
        if one.common["level"]:
            return record.levelno >= LEVELS[one.common["level"]]
        if record.levelno >= LEVELS[self.level] or getattr(record, BY_OWN_LEVEL, False):
            return True
        return _has_own_level(record)

    def set_level(self, level: str) -> None:
        """Change the level of the targets that have no own."""
        self.level = level
        logging.getLogger().setLevel(self._lowest)

    def _tell_others(self, outlet: Outlet, record: logging.LogRecord) -> None:
        """Have all other targets say something of one; if there are none, standard error."""
        others = [(takes, other) for takes, other in self._outlets if other is not outlet]
        for takes, other in others:
            if takes(record):
                other.offer(record)
        if not others and outlet.name != "console":
            _say(outlet.handler.format(record))

    # --- whoever configures logging besides ----------------------------------------------------

    @property
    def is_heard(self) -> bool:
        """Whether what is logged reaches its output, whoever has configured logging since."""
        root, own = logging.getLogger(), log.log._logger
        return self._handler in root.handlers and not (own.disabled or root.manager.disable)

    def put_back(self) -> None:
        """Have it reach its output again; what an app has set besides stays as it is."""
        root, level = logging.getLogger(), self._lowest
        if self._handler is not None and self._handler not in root.handlers:
            root.addHandler(self._handler)
        logging.disable(logging.NOTSET)
        package = logging.getLogger(__name__.partition(".")[0])
        known = list(root.manager.loggerDict)  # other threads may add to it
        ours = [name for name in known if name.startswith(package.name)]
        for name in (*log.names, *ours):  # dictConfig disables those that it does not name
            logging.getLogger(name).disabled = False
        if root.level != level and package.level == logging.NOTSET:
            package.setLevel(level)

    # --- forks -------------------------------------------------------------------------------

    def before_fork(self) -> None:
        for _, outlet in self._outlets:
            outlet.before_fork(FORK_SECONDS)

    def after_fork(self) -> None:
        for _, outlet in self._outlets:
            outlet.after_fork()

    def after_fork_in_child(self) -> None:
        for _, outlet in self._outlets:
            outlet.after_fork_in_child()
        self._outlets = []  # there is nothing to stop

    # --- the end -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Write what is still queued, within reason: perhaps nobody reads it."""
        outlets, self._outlets = self._outlets, []
        if not outlets or self._handler is None:
            return
        log.services.remove(self)
        logging.getLogger().removeHandler(self._handler)
        self._handler = None
        deadline = clock.monotonic() + STOP_SECONDS
        for _, outlet in outlets:
            outlet.end()
        left = [(outlet.name, outlet.join(deadline - clock.monotonic())) for _, outlet in outlets]
        lines = [f"{name}: {number}" for name, number in left if number and name != "console"]
        if lines:
            text = f"log lines were not written, since a target is slow or away: {', '.join(lines)}"
            saying = threading.Thread(target=_say, args=(text,), daemon=True)
            saying.start()  # perhaps nobody reads that either
            saying.join(SAY_SECONDS)


class _Intake(logging.Handler):
    """Hands records over as they are: nothing is formatted that nobody reads."""

    def __init__(self, outlets: list[tuple[Takes, Outlet]]) -> None:
        super().__init__()
        self._outlets = outlets

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)  # without a lock: those who log do not wait for each other
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if record.args:  # arguments may change until they are formatted
            record.msg, record.args = _message(record), ()
        for takes, outlet in self._outlets:
            if takes(record):
                outlet.offer(record)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # whoever logs is not to fail for it
        return f"{record.msg} {record.args!r} ({type(error).__name__}: {error})"


def _filter(one: Wanted) -> re.Pattern[str] | None:
    return re.compile(one.common["filter"]) if one.common["filter"] else None


def _has_own_level(record: logging.LogRecord) -> bool:
    """Return whether a level of the record's own logger has let it pass, not that of the root."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger.parent is not None:
        if logger.level:
            return record.levelno >= logger.level
        logger = logger.parent
    return False


def _say(text: str) -> None:
    with contextlib.suppress(Exception):  # it may be closed
        print(text, file=sys.stderr)
