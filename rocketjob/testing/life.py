"""The life of a few jobs, from the first event to the last: what plugins must not disturb."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rocketjob import Job
from rocketjob.testing.sandbox import Sandbox

HOOKS = "rocketjob.plugins"  # where it is logged that a plugin failed in a hook


class ContractJob(Job):
    """A job of the contract suites; nothing is special about it."""

    destroy_on_complete = False
    fails: bool = False

    def perform(self) -> None:
        if self.fails:
            raise RuntimeError("as it was told to")


def live(made: Sandbox) -> list[str]:
    """Let jobs go through every event; return what is not as it should be.

    Hooks that fail are in there too, with what is logged of them.
    """
    wrong: list[str] = []

    def expect(what: str, is_right: bool) -> None:
        if not is_right:
            wrong.append(f"{what}: it is not")

    with _logged(wrong):
        job = ContractJob.create()
        made.plugins.answers("explain", lambda error: wrong.append(str(error)), job=job)
        made.work_off()
        expect("a job is completed", job.reload().is_completed)
        failing = ContractJob.create(fails=True)
        made.work_off()
        expect("a job whose perform raises is failed", failing.reload().is_failed)
        failing.retry()
        expect("a failed job is queued when it is retried", failing.reload().is_queued)
        failing.pause()
        made.work_off()
        expect("a paused job stays paused", failing.reload().is_paused)
        failing.resume()
        failing.abort()
        expect("a job is aborted", failing.reload().is_aborted)
        later = ContractJob.create(run_at=timedelta(hours=1))
        made.travel(timedelta(hours=2))
        made.work_off()
        expect("a job that was scheduled is completed", later.reload().is_completed)
        for each in (job, failing, later):
            each.destroy()
        expect("jobs are removed", ContractJob.count() == 0)
    wrong += made.plugins.problems
    return list(dict.fromkeys(wrong))


@contextmanager
def _logged(messages: list[str]) -> Iterator[None]:
    """Add what is logged of hooks that fail to a list."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, listener = logging.getLogger(HOOKS), Listener(logging.ERROR)
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
