"""A separate RocketJob for the length of a test."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rocketjob import application
from rocketjob.application import Application
from rocketjob.base import clock
from rocketjob.base import config as config_module
from rocketjob.base.config import KERNEL, Config
from rocketjob.plugins.manager import PluginManager
from rocketjob.queue.dispatch import Queue
from rocketjob.store import Store
from rocketjob.testing.selected import only
from rocketjob.worker import async_loop
from rocketjob.worker.runner import Worker, work_claimed_job

MEMORY_URL = "sqlite://:memory:"


class Sandbox:
    """What the fixture `rocketjob` is: the application, a worker and the clock of one test."""

    def __init__(self, app: Application) -> None:
        self.application = app
        self._queue: Queue | None = None
        self._worker: Worker | None = None

    @property
    def store(self) -> Store:
        """The test's own store."""
        return self.application.store

    @property
    def plugins(self) -> PluginManager:
        return self.application.plugins

    @property
    def queue(self) -> Queue:
        """The queue as the test's worker sees it."""
        if self._queue is None:
            self._queue = Queue(
                self.store, self.plugins, self.application.config, "test.1", "test:0:1"
            )
        return self._queue

    @property
    def worker(self) -> Worker:
        """The worker that runs the jobs."""
        if self._worker is None:
            self._worker = Worker(self.queue.worker_name, queue=self.queue)
        return self._worker

    def work_off(self, limit: int | None = None) -> int:
        """Run the jobs that are due, inline, one after the other, the most urgent first.

        Jobs that these jobs create are run too.

        Args:
            limit: run at most this many.

        Returns:
            how many jobs were run.
        """
        worked = 0
        while limit is None or worked < limit:
            jobs = self.queue.claim(1)
            if not jobs:
                break
            worked += work_claimed_job(jobs[0], self.worker)
        return worked

    def travel(self, to: datetime | timedelta) -> None:
        """Move the clock to an instant, or by a duration; nothing sleeps, and time goes on."""
        clock.travel(to)

    def freeze(self, at: datetime | None = None) -> None:
        """Stop the clock, at an instant or now; `travel` still moves it."""
        clock.travel(at or clock.now(), freeze=True)


@contextmanager
def sandbox(
    url: str = MEMORY_URL, *, plugins: Iterable[Any] | None = None, **settings: Any
) -> Iterator[Sandbox]:
    """Give a test its own application; afterwards the clock and the process are as before.

    Args:
        url: of the store; in memory if not given.
        plugins: only these are loaded, and the one that opens the store: names of installed ones,
            and modules or objects with hooks. None: all that are installed.
        settings: any, a plugin's table as a dict: `notify={"url": "..."}`; the files and the
            environment are not read.

    Raises:
        PluginError: one of `plugins` is not installed, or cannot be loaded.
        ConfigurationError: an unknown setting or a wrong value.
    """
    given = {"url": url, **settings}
    load = None if plugins is None else functools.partial(only, list(plugins), _of_kernel(given))
    find = None if load is None else lambda disabled: load(disabled).declared
    config = config_module.load_given(given, find)
    app = Application(config, given=given, load_plugins=load)
    if plugins is not None:
        _ = app.plugins  # a wrong one is to fail here, not in the middle of the test
    with application.using(app):
        try:
            yield Sandbox(app)
        finally:
            clock.reset()
            async_loop.close()


def _of_kernel(settings: Mapping[str, Any]) -> Config:
    """Return the settings that are the kernel's: of the plugins it is not known yet which."""
    return config_module.load_given({n: v for n, v in settings.items() if n in KERNEL})
