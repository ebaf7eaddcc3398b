"""A job whose `perform` is a coroutine, through the same steps as any other, but in parts.

They are a generator that yields what is to be awaited, and is sent what became of it. So whatever
is not a coroutine, such as callbacks and wrappers of plugins, runs on a thread, and no thread is
held while the coroutine waits. See `rocketjob.worker.runner` for what the steps do.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack
from functools import partial
from typing import Any

from rocketjob.jobs.job import Job
from rocketjob.jobs.performing import now_performing
from rocketjob.model.callbacks import Frame
from rocketjob.store import context
from rocketjob.worker import runner
from rocketjob.worker.forks import EndingHere
from rocketjob.worker.limits import within_limits
from rocketjob.worker.runner import Worker

Steps = Generator[Awaitable[Any], Any, Any]
Stack = Callable[[], list[str]]


def runs_on_loop(job_class: type[Job]) -> bool:
    """Return whether jobs of a class can be performed on the event loop, without a thread each.

    Their `perform` is a coroutine function, and is called once, in the process of the worker. A
    callback around it may open what belongs to its thread, such as a connection of Django.
    """
    return (
        inspect.iscoroutinefunction(job_class.perform)
        and job_class.work is Job.work
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
    now_performing(job)
    try:
        if runner.is_vetoed(job, worker):
            return False
        runner.tell_of_start(job)
        yield from _work(job, worker, stack)
    except GeneratorExit:  # nobody goes on with it: the process ends
        raise
    except BaseException as error:
        runner.fail_unless_lost(job, error, worker)
    return True


def _work(job: Job, worker: Worker, stack: Stack) -> Steps:
    try:
        if job.chain("start"):
            runner.start_callbacks(job)
        if not job.is_running:
            return runner.save_where_it_is(job)
        with ExitStack() as around:
            if job.timeout is not None or job.stuck_after is not None:
                give_up = partial(runner.give_up_job, job, worker)
                limits = within_limits(job, worker.limits, worker.number, None, give_up, stack)
                around.enter_context(limits)
            value = yield from _in_wrappers(job)
        runner.finish(job, value, worker)
    except GeneratorExit:
        raise
    except BaseException as error:
        runner.end_with(job, error, worker)


def _in_wrappers(job: Job) -> Steps:
    plugins = context.current().plugins
    if not plugins.listens("perform", type(job)):
        return (yield from _in_callbacks(job))
    with plugins.during("perform", job=job, part=None) as returned:
        returned.append((yield from _in_callbacks(job)))
    return returned[0]


def _in_callbacks(job: Job) -> Steps:
    frame = Frame(job.chain("perform"), job)
    try:
        frame.enter()
        value = yield from _perform(job)
    except GeneratorExit:
        raise
    except BaseException as error:
        return frame.unwind(error)
    return frame.leave(value)


def _perform(job: Job) -> Steps:
    if not job.is_running:  # a callback has taken it out of that
        return None
    stored = job.arguments or {}
    with EndingHere():
        value = job.perform(*stored.get("args", ()), **stored.get("kwargs", {}))
    if inspect.isawaitable(value):
        value = yield value
    return runner.refuse_lazy(value)
