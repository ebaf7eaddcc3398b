"""One job through named steps: start callbacks, perform, complete or fail.

The steps are the same for a job that a server claimed, that a test runs, and that is performed
inline; they differ in the `Worker`, which says how a change of state is written. What `perform`
raises becomes the event `fail`; if the claim was lost meanwhile, nothing is written.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rocketjob.base import clock
from rocketjob.base.deprecation import REMOVED_IN
from rocketjob.base.errors import (
    ClaimLost,
    Discard,
    HookFailed,
    NotFound,
    ServerStopping,
    Snooze,
    StateConflict,
)
from rocketjob.base.functions import refuse_pending
from rocketjob.base.log import Logger
from rocketjob.jobs import claims, holds
from rocketjob.jobs.claims import claim_of
from rocketjob.jobs.exception import JobException, message_of
from rocketjob.jobs.fit import refuse_newer
from rocketjob.jobs.holds import Hold
from rocketjob.jobs.performance import performance_of
from rocketjob.jobs.performing import now_performing
from rocketjob.jobs.store_away import waits_for_store
from rocketjob.model.document import load_into
from rocketjob.model.record import record_of
from rocketjob.states.machine import Change
from rocketjob.store import context
from rocketjob.store.written import written
from rocketjob.worker import async_loop
from rocketjob.worker.contexts import in_fresh_context
from rocketjob.worker.crashes import again_after_crash
from rocketjob.worker.forks import EndingHere
from rocketjob.worker.limits import GiveUp, Limits, still_held, within_limits
from rocketjob.worker.prepared import changed

if TYPE_CHECKING:
    from rocketjob.jobs.job import Job
    from rocketjob.queue.dispatch import Queue
    from rocketjob.store import Filter
    from rocketjob.store.context import Plugins

log = Logger("rocketjob.runner")


class Worker:
    """Who works on a job. This one writes each change at once; those of a server do so in groups.

    Attributes:
        name: `server:process`, stored as the job's `worker_name`.
        inline: errors of the job go on to the caller; batch jobs are run to their end.
        stopping: set when the worker is to come to an end at the next good moment.
        value: what the last perform returned.
        queue: where its jobs come from; None for one that is performed inline.
        isolates: whether jobs of a class with `isolation` get a process of their own.
        claimed_by: the name of its claims.
    """

    def __init__(
        self,
        name: str = "inline:0:0",
        inline: bool = False,
        queue: Queue | None = None,
        claimed_by: str = "inline",
    ) -> None:
        self.name, self.inline, self.queue = name, inline, queue
        self.claimed_by = queue.claimed_by if queue is not None else claimed_by
        self.stopping = threading.Event()
        self.isolates = False
        self.limits: Limits | None = None  # of a pool: what it does about jobs that hang
        self.number = 0  # of its thread in a pool
        self.value: Any = None

    @property
    def known_as(self) -> str | None:
        """The name under which an error is stored; a job that is run inline has no worker."""
        return None if self.inline else self.name

    @property
    def waits(self) -> bool:
        """Whether it waits where a job cannot be ended since the store is out of reach."""
        return self.queue is not None

    def hold_back(self, job: Job, hold: Hold, filter: Filter) -> None:
        """Release a claimed job, and leave it and its like alone until the next re-check."""
        if self.queue is not None:
            self.queue.hold_back(job, hold, filter)

    def working_on(self, job: Job, part: int = 0) -> None:
        """Note which part of a job is being performed, in case the process dies of it."""

    def took(self, job: Job) -> None:
        """Note that this worker has claimed a job itself, while it was working on it."""

    def commit(self, change: Change) -> None:
        """Write a prepared change, then run what comes after it."""
        if not change.document.is_new:
            change.write()
        log_end(change)
        after_commit(change, self.inline)


def perform_now(job: Job, worker: Worker | None = None) -> Any:
    """Run a job here, as `Job.perform_now` promises.

    Args:
        worker: who has claimed it; None for one that is not stored, or has only one perform.
    """
    if inspect.iscoroutinefunction(job.perform):
        async_loop.check_caller()
    refuse_newer(job)
    job.validate()
    if job.may("start"):
        job.start(save=False)
    if not job.is_running:
        return None
    worker = worker or Worker(inline=True)
    in_fresh_context(_work_inline, job, worker)
    return worker.value


def _work_inline(job: Job, worker: Worker) -> None:
    now_performing(job)
    job.work(worker)


def work_claimed_job(job: Job, worker: Worker) -> bool:
    """Run a job that this worker has claimed; nothing that the job raises gets out of here.

    Returns:
        False if the job was deferred instead.
    """
    return in_fresh_context(_work_claimed_job, job, worker)


def _work_claimed_job(job: Job, worker: Worker) -> bool:
    """Run a job; an error from outside of its `perform`, as in a hook, fails it too."""
    now_performing(job)
    try:
        if is_vetoed(job, worker):
            return False
        tell_of_start(job)
        job.work(worker)
    except BaseException as error:
        fail_unless_lost(job, error, worker)
    return True


def fail_unless_lost(job: Job, error: BaseException, worker: Worker) -> None:
    """Fail a job for what came from outside of its `perform`, unless it is in other hands."""
    if is_lost(job, error):
        job.logger.warning(type(error).__name__, reason=str(error))
    else:
        fail(job, error, worker)


def tell_of_start(job: Job) -> None:
    """Tell the observers of a start that was made by a claim, which is not an event of the job."""
    plugins = context.current().plugins
    if claim_of(job) is not None and plugins.listens("state_changed", type(job)):
        plugins.notify("state_changed", job=job, event="start", source="queued", target="running")


def is_lost(job: Job, error: BaseException) -> bool:
    """Return whether an error means that the job was deleted, or is in other hands now.

    What a job does may raise the same errors of another document, as `find` does: those are
    failures of the job like any other.
    """
    if job.is_new or not isinstance(error, ClaimLost | NotFound):
        return False
    try:
        return job.collection().find_one(job.write_guard(), {"_id": 1}) is None
    except Exception:
        return False  # whatever is written later is written under the claim


def is_vetoed(job: Job, worker: Worker) -> bool:
    """Ask the plugins whether a claimed job may start; one that may not is released."""
    if claim_of(job) is None:
        return False
    plugins = context.current().plugins
    hold = _veto(job, plugins) if plugins.listens("veto_claim", type(job)) else None
    if hold is None:
        if job.throttled_by is not None:
            holds.clear(job)
        return False
    hold, filter = _usable(job, hold)
    job.logger.debug("deferred", by=hold.name, text=hold.text)
    worker.hold_back(job, hold, filter)
    return True


def _veto(job: Job, plugins: Plugins) -> Hold | None:
    """Return what the plugins say; a veto that fails is not consent."""
    try:
        answer = plugins.decide("veto_claim", job=job)
        return None if answer is None else _as_hold(answer.value, answer.plugin)
    except BaseException as error:
        job.logger.exception("deferred: a plugin's veto_claim failed", error=str(error))
        return Hold(error.plugin if isinstance(error, HookFailed) else "veto_claim", str(error))


def _as_hold(answer: Any, plugin: str) -> Hold:
    if isinstance(answer, Hold):
        return answer
    name, filter = answer
    warnings.warn(
        f"veto_claim of the plugin {plugin} returned a name and a filter: return "
        f"rocketjob.Hold(name, text, filter) instead; a tuple goes in RocketJob {REMOVED_IN}",
        DeprecationWarning,
        stacklevel=1,
    )
    return Hold(name, filter=filter)


def _usable(job: Job, hold: Hold) -> tuple[Hold, Filter]:
    """Return what to leave alone with a job; the hold says what is wrong with a plugin's filter.

    It becomes part of every claim's: one that no store takes would stop them all, and a job that it
    leaves out would be claimed and released again and again.
    """
    own, filter = {"_id": job.id}, hold.filter
    if filter is None or filter == own:
        return hold, own
    try:
        written(filter)  # it is stored, for others to see
        matches = job.collection().find_one({"$and": [own, filter]}, {"_id": 1})
    except Exception as error:
        why = f"the filter {filter!r} cannot be used: {error}"
        job.logger.error("deferred alone: a veto has a wrong filter", by=hold.name, error=why)
        return Hold(hold.name, f"{hold.text}; {why}" if hold.text else why, until=hold.until), own
    return hold, (filter if matches else {"$or": [own, filter]})


def work_simple_job(job: Job, worker: Worker) -> None:
    """Start, perform and end a job that has one perform."""
    try:
        if not worker.inline and job.chain("start"):
            start_callbacks(job)
        if not job.is_running:
            return save_where_it_is(job)
        value = watched(job, worker, lambda: _perform(job, worker))
        finish(job, value, worker)
    except BaseException as error:
        end_with(job, error, worker)
        if worker.inline:
            raise


def _perform(job: Job, worker: Worker) -> Any:
    chain = job.chain("perform")
    if not chain:
        return call_perform(job, worker)
    return chain.run(job, lambda: call_perform(job, worker))


def end_with(job: Job, error: BaseException, worker: Worker) -> None:
    """Make the event that an error in the work of a job leads to.

    Raises:
        ClaimLost, NotFound: the job is in other hands, or gone.
    """
    if is_lost(job, error):
        raise error
    if not (
        ends_as_asked(job, error, worker)
        or again_after_crash(job, error, worker.commit, worker.waits)
    ):
        fail(job, error, worker)


def watched(
    job: Job,
    worker: Worker,
    perform: Callable[[], Any],
    part: int | None = None,
    give_up: GiveUp | None = None,
) -> Any:
    """Perform a job, or a part of it, within its limits and the wrappers of the plugins.

    Args:
        give_up: fails the part in the store, if its thread hangs past the timeout.
    """
    if job.timeout is None and job.stuck_after is None:
        return _in_wrappers(job, perform, part)
    give_up = give_up or functools.partial(give_up_job, job, worker)
    with within_limits(job, worker.limits, worker.number, part, give_up):
        return _in_wrappers(job, perform, part)


def give_up_job(job: Job, worker: Worker, error: BaseException) -> bool:
    """Fail a job whose thread hangs; this runs on another one."""
    fresh = still_held(job)
    if fresh is not None:
        in_fresh_context(fail, fresh, error, Worker(worker.name))
    return fresh is not None


def _in_wrappers(job: Job, perform: Callable[[], Any], part: int | None) -> Any:
    plugins = context.current().plugins
    if not plugins.listens("perform", type(job)):
        return perform()
    return plugins.around("perform", perform, job=job, part=part)


@waits_for_store
def start_callbacks(job: Job) -> None:
    """Run them; where they cannot reach the store, the job is started again later."""
    run_start_callbacks(job)


def run_start_callbacks(job: Job) -> None:
    """Run the callbacks of `start` for a job that was claimed, which is how a server starts one.

    What they change is saved under the claim.
    """
    chain = job.chain("start")
    if chain:
        chain.run(job, lambda: None)
        if job.is_running and any(record_of(job).changes(job)):
            job.save()


def call_perform(job: Job, worker: Worker) -> Any:
    """Call perform with the job's arguments, unless a callback took the job out of running."""
    if not job.is_running:
        return None
    stored = job.arguments or {}
    args, kwargs = stored.get("args", ()), stored.get("kwargs", {})
    if job.isolation is not None and worker.isolates:
        return _isolated(job, worker, args, kwargs)
    return performed(job, args, kwargs)


def _isolated(job: Job, worker: Worker, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    from rocketjob.worker.isolated import Isolated  # for start-up time

    process = Isolated(job, worker.name)
    try:
        return process.perform(args, kwargs)
    finally:
        process.end()


def performed(job: Job, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call perform here, and wait for what it returned."""
    with EndingHere():
        value = job.perform(*args, **kwargs)
    if value is None:
        return None  # as most return: there is nothing to wait for
    if inspect.isawaitable(value):
        value = async_loop.run(value, performance_of(job))
    return refuse_lazy(value)


def refuse_lazy(value: Any) -> Any:
    """Return what perform has returned, unless that is work which nobody would do.

    Raises:
        TypeError: it is a generator, or a coroutine that another one has returned.
    """
    cure = "await it" if inspect.iscoroutine(value) else "return a list of what it yields"
    refuse_pending(value, "perform", cure)
    return value


def finish(job: Job, value: Any, worker: Worker) -> None:
    """Complete a job that performed well, or save where its callbacks have put it."""
    worker.value = value
    if not job.is_running:
        if not job.is_new:
            save_where_it_is(job)
        return
    before = job.result
    if job.collect_output:
        job.result = value if isinstance(value, dict) else {"result": value}
    try:
        change = changed(job, worker.waits, "complete", {})
    except BaseException:
        job.result = before  # it may be what is not valid
        raise
    worker.commit(change)


def save_where_it_is(job: Job) -> None:
    """Store a state that a callback set in memory, if it is not stored already."""
    if job.state != (record_of(job).stored or {}).get("state"):
        job.save(validate=False)
        claims.forget_cleared(job)


def stops_as_asked(job: Job, error: BaseException, worker: Worker) -> bool:
    """Queue a job again that has ended because its server stops; return whether it was so."""
    return isinstance(error, ServerStopping) and ends_as_asked(job, error, worker)


def ends_as_asked(job: Job, error: BaseException, worker: Worker) -> bool:
    """Make the event that perform asked for by an error of its own; return whether it did.

    A callback of the event that raises fails the job.
    """
    if isinstance(error, Snooze):
        name, arguments = "snooze", {"until": clock.now() + error.delay, "reason": error.reason}
    elif isinstance(error, Discard):
        name, arguments = "abort", {"reason": error.reason}
    elif isinstance(error, ServerStopping):
        name, arguments = "requeue", {"reason": str(error)}
    else:
        return False
    if job.is_new or not job.may(name, **arguments):
        return False
    job.logger.info(name, reason=str(error))
    try:
        worker.commit(changed(job, worker.waits, name, arguments))
    except (StateConflict, NotFound) as lost:
        job.logger.warning(type(lost).__name__, reason=str(lost))
    except BaseException as problem:
        fail(job, problem, worker)
    return True


def fail(job: Job, error: BaseException, worker: Worker) -> None:
    """Fail a job with the error that ended it; never raises."""
    try:
        change = _failing(job, error, worker)
    except BaseException as problem:
        _say_failed(job, error, worker)
        return _fail_otherwise(job, error, worker, problem)
    _say_failed(job, error, worker, change)
    try:
        if change is not None:
            worker.commit(change)
        elif not job.is_new:
            save_where_it_is(job)
    except BaseException as problem:
        _fail_otherwise(job, error, worker, problem)


def _say_failed(
    job: Job, error: BaseException, worker: Worker, change: Change | None = None
) -> None:
    """Log a failure: as an error with its traceback, unless the job is tried again anyhow."""
    if worker.inline:
        return
    problem = f"{type(error).__name__}: {message_of(error)}"
    if change is None or all(follow_up.event.name != "retry" for follow_up in change.follow_ups):
        job.logger.exception("failed", error, error=problem)
    else:
        number, at = job.failure_count, job.run_at
        job.logger.warning("failed: will be retried", error=problem, failures=number, run_at=at)


def _fail_otherwise(job: Job, error: BaseException, worker: Worker, problem: BaseException) -> None:
    """Store a failure that could not be stored with what belongs to it.

    A before("fail") of the user's raised, or what perform left on the job cannot be stored: the
    failure itself must be stored all the same.
    """
    if isinstance(problem, StateConflict | NotFound):
        job.logger.warning(type(problem).__name__, reason=str(problem))
    else:
        job.logger.exception("the failure cannot be stored as it is", problem)
        _store_failure_alone(job, error, worker)


def fail_refused(change: Change, error: Exception, worker: Worker) -> None:
    """Fail a job whose change the store will never take, without the values that it refuses."""
    job = change.document
    change.rollback(error)
    job.logger.error("cannot be stored", event=change.event.name, error=message_of(error))
    _drop_unsaved(job)
    if change.event.name == "fail":
        _store_failure_alone(job, error, worker)
    else:
        fail(job, error, worker)


def _failing(job: Job, error: BaseException, worker: Worker) -> Change | None:
    """Return the change that fails a job, to be committed; None where a state forbids it."""
    if not job.may("fail"):
        job.exception = JobException.of(error, worker.known_as)
        return None
    arguments = {"reason": error, "worker_name": worker.known_as}
    return changed(job, worker.waits, "fail", arguments)


def _store_failure_alone(job: Job, error: BaseException, worker: Worker) -> None:
    if job.is_new:
        return
    for drop in (False, True):  # the second time without what the job's own code left on it
        try:
            if drop:
                _drop_unsaved(job)
            arguments = {"reason": error, "worker_name": worker.known_as}
            change = Change(job, job.__events__["fail"], arguments)
            change.prepare(callbacks=False)
            return worker.commit(change)
        except Exception as lost:
            job.logger.warning("the failure could not be stored", reason=message_of(lost))


def _drop_unsaved(job: Job) -> None:
    """Put the job's fields back to what is stored; the claim stays."""
    load_into(job, record_of(job).stored or {})


def log_end(change: Change) -> None:
    """Log that a job has completed, once that is stored; failures are logged with their error."""
    job, cls = change.document, type(change.document)
    if change.event.name != "complete":
        return
    # Asked first: to bind a logger to each job that nobody listens to would cost more.
    logger = _logger_of(f"{cls.__module__}.{cls.__name__}")
    if job.log_level is not None or logger.isEnabledFor(logging.DEBUG):
        job.logger.debug("completed", seconds=round(job.seconds, 3))


_logger_of = functools.cache(logging.getLogger)  # which takes a lock each time


def after_commit(change: Change, inline: bool = False) -> None:
    """Run what comes after a stored change; an error in it is kept on the job, not raised."""
    job = change.document
    try:
        change.finish()
    except BaseException as error:
        if job.is_new or (inline and not isinstance(error, Exception)):
            raise
        job.logger.exception("a callback raised after the job was stored", event=change.event.name)
        if change.event.name == "complete":
            job.exception = JobException.of(error, job.worker_name)
            try:
                job.save(validate=False)
            except Exception as lost:
                job.logger.warning(type(lost).__name__, reason=str(lost))
            if inline:
                raise
