"""A job whose `perform` is a coroutine, through the same steps as any other, but in parts.

They are a generator that yields what is to be awaited, and is sent what became of it: a value, or
the error that was raised. So whatever is not a coroutine, such as callbacks and wrappers of
plugins, runs on a thread, and no thread is held while the coroutine waits. See
`rocketjob.worker.runner` for what the steps do.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack
from functools import partial
from typing import Any

from rocketjob.jobs.job import Job
from rocketjob.jobs.performing import needs_work, now_performing
from rocketjob.model.callbacks import Frame
from rocketjob.store import context
from rocketjob.worker import runner
from rocketjob.worker.forks import EndingHere
from rocketjob.worker.limits import within_limits
from rocketjob.worker.runner import Worker

Ended = tuple[Any, BaseException | None]
Steps = Generator[Awaitable[Any], Ended, Any]
Stack = Callable[[], list[str]]


def runs_on_loop(job_class: type[Job]) -> bool:
    """Return whether jobs of a class can be performed on the event loop, without a thread each.

    Their `perform` is a coroutine function, and is called once, in the process of the worker. A
    callback around it may open what belongs to its thread, such as a connection of Django.
    """
    return (
        inspect.iscoroutinefunction(job_class.perform)
        and not needs_work(job_class, Job.work)
        and job_class.joinable is None
        and job_class.isolation is None
        and all(each.kind != "around" for each in job_class.chain("perform").callbacks)
    )


def claimed_job_steps(job: Job, worker: Worker, stack: Stack) -> Steps:
    """Go through the steps of a claimed job; nothing that the job raises gets out of here.

    Args:
        stack: says where its coroutine is.

    Returns:
        False if the job was deferred instead.
    """
    return _JobSteps(job, worker, stack).run()


class _JobSteps:
    """The steps of one job. That nobody goes on with them is no failure of the job."""

    def __init__(self, job: Job, worker: Worker, stack: Stack) -> None:
        self.job, self.worker, self.stack = job, worker, stack
        self._is_given_up = False

    def _is_of_job(self, error: BaseException) -> bool:
        """Return whether it ends the job, which may raise a GeneratorExit of its own."""
        return not (self._is_given_up and isinstance(error, GeneratorExit))

    def run(self) -> Steps:
        job, worker = self.job, self.worker
        now_performing(job)
        try:
            if runner.is_vetoed(job, worker):
                return False
            runner.tell_of_start(job)
            yield from self._work()
        except BaseException as error:
            if not self._is_of_job(error):
                raise
            runner.fail_unless_lost(job, error, worker)
        return True

    def _work(self) -> Steps:
        job, worker = self.job, self.worker
        try:
            if job.chain("start"):
                runner.start_callbacks(job)
            if not job.is_running:
                return runner.save_where_it_is(job)
            with ExitStack() as around:
                if job.timeout is not None or job.stuck_after is not None:
                    give_up = partial(runner.give_up_job, job, worker)
                    limits = within_limits(
                        job, worker.limits, worker.number, None, give_up, self.stack
                    )
                    around.enter_context(limits)
                value = yield from self._in_wrappers()
            runner.finish(job, value, worker)
        except BaseException as error:
            if not self._is_of_job(error):
                raise
            runner.end_with(job, error, worker)

    def _in_wrappers(self) -> Steps:
        job, plugins = self.job, context.current().plugins
        if not plugins.listens("perform", type(job)):
            return (yield from self._in_callbacks())
        with plugins.during("perform", job=job, part=None) as returned:
            returned.append((yield from self._in_callbacks()))
        return returned[0]

    def _in_callbacks(self) -> Steps:
        frame = Frame(self.job.chain("perform"), self.job)
        try:
            frame.enter()
            value = yield from self._perform()
        except BaseException as error:
            if not self._is_of_job(error):
                raise
            return frame.unwind(error)
        return frame.leave(value)

    def _perform(self) -> Steps:
        job = self.job
        if not job.is_running:  # a callback has taken it out of that
            return None
        stored = job.arguments or {}
        with EndingHere():
            value = job.perform(*stored.get("args", ()), **stored.get("kwargs", {}))
        if inspect.isawaitable(value):
            value = yield from self._awaited(value)
        return runner.refuse_lazy(value)

    def _awaited(self, awaitable: Awaitable[Any]) -> Steps:
        try:
            value, error = yield awaitable
        except GeneratorExit:  # nobody goes on with it: the process ends
            self._is_given_up = True
            raise
        if error is not None:
            raise error
        return value
