"""Levels of the log that go back by themselves, so that nobody has to remember them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rocketjob.base.log import Logger, keep_level, set_level

log = Logger("rocketjob.levels")


class Levels:
    """What was changed in this process for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._back: dict[str | None, tuple[threading.Timer, Callable[[], None]]] = {}

    def set(self, level: str, name: str | None = None, seconds: float | None = None) -> None:
        """Change the level of one logger, or of all.

        Args:
            seconds: after which it goes back to what it was before the first such change that has
                not gone back yet; None: it stays.

        Raises:
            ValueError: there is no such level.
        """
        with self._lock:
            timer, restore = self._back.pop(name, (None, keep_level(name)))
            if timer is not None:
                timer.cancel()
            set_level(level, name)
            if seconds is not None:
                timer = threading.Timer(seconds, self._go_back, [name])
                timer.name, timer.daemon = "log level", True
                self._back[name] = timer, restore
                timer.start()

    def _go_back(self, name: str | None) -> None:
        with self._lock:
            if self._back.get(name, (None, None))[0] is not threading.current_thread():
                return  # another change came first
            _, restore = self._back.pop(name)
            restore()
        log.info("the level of the log is what it was", logger=name or "all")


levels = Levels()
