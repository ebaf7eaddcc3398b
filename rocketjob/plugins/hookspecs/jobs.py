"""What happens to a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rocketjob.plugins.answers import (
    answer,
    is_nothing,
    stored_beside,
)
from rocketjob.plugins.hookspecs.marks import hookspec, wrapped

if TYPE_CHECKING:
    from rocketjob.jobs.changed import Changed
    from rocketjob.jobs.job import Job
    from rocketjob.store import Also, Insert


@hookspec(firstresult=True)
@answer("None: change the job itself, or raise rocketjob.JobRefused", is_nothing)
def before_enqueue(job: Job) -> None:
    """Change a job that is about to be stored for the first time, or refuse it.

    Called in whichever process creates the job, on its thread, however it comes about: `create`,
    `save` of a new one, `create_many`, `perform_later`, the successor of a scheduled or restarted
    job, a file that was found. It is called before the validation and the callbacks, so that what
    is set here is checked too; again for a job that was not stored then and is saved again; not for
    one that is only performed by `perform_now`, nor for one that is copied from another store.

    `rocketjob.current_job()` is the job in which this one is created, if any. What it has in `meta`
    is not handed on by itself: a trace goes on if its plugin says so.

    Raise `JobRefused("tenant 7 is blocked")` to refuse the job: whoever creates it gets that as the
    ValidationError that it is, with the plugin's name. Any other error refuses it too. The
    exception is a job that is created with the end of another, which must not fail for that: one
    that is refused is left out, and one for which a plugin fails is stored; the log says so.
    """


@hookspec
def job_created(job: Job) -> None:
    """Learn of a new job, after it has been stored.

    Called for the same jobs as `before_enqueue`, in whichever process creates one, on its thread.
    Where that process dies between the two, it is not called: see `transition_writes`. Inside a
    transaction of the store that is still open the job may yet be taken back.
    """


@hookspec
def job_removed(job: Job, why: str) -> None:
    """Learn that a job was removed from the store, after it is gone.

    Called in whichever process removes it, on its thread, and not if that dies before; not for
    `delete_all`, nor for the old jobs of a collection that is dropped.

    Args:
        why: `completed`, by the default `destroy_on_complete`; `aborted` or `failed`, where a
            class is removed by these; `expired`, for one that was not started in time;
            `housekeeping`, for one that was old enough; `destroyed` by `job.destroy()`,
            `job.delete()`, a command or a page.
    """


@hookspec
@wrapped
def perform(job: Job, part: int | None) -> None:
    """Watch a job being performed, or each slice of a batch job: a generator that yields once.

    Write `@hookimpl(wrapper=True)`. What is before the `yield` runs before the callbacks of
    `perform` (of a batch: of `slice`), what is after it when they have ended, on the worker's
    thread, and in the context of the job: a context variable that is set before the `yield` is seen
    by it. So it is for `perform_now`, and for `work_off` in tests. Of a job on the event loop of a
    server the two halves may be on different threads, never on that of the loop: keep what belongs
    together in context variables. With `@only_for` it costs the other classes nothing.

    `yield` returns what perform returned, of a slice how many of its records were gone through, or
    raises its error. A wrapper changes neither: its return value is not looked at, an error that it
    swallows fails the job all the same, and an error of its own is logged with the plugin's name.
    One of RocketJob's own, such as `RocketJobError("the transaction could not be committed")`, is
    on purpose, and fails the job or slice.

    Args:
        part: of a batch job the number of the slice's first record; else None.
    """


@hookspec
def state_changed(job: Job, event: str, source: str, target: str) -> None:
    """Learn of a change of state, after it has been stored.

    An error here is logged with the plugin's name and changes nothing else.
    """


@hookspec
def jobs_changed(changes: list[Changed]) -> None:
    """Learn of many changes of state at once, after they were stored together.

    Called for the same changes as `state_changed` but the start by a server's claim, and much
    cheaper where there are many: once for each group that a worker process writes, on the thread
    that writes them all, which claims nothing meanwhile. So it must be quick, and neither read nor
    write the store. Elsewhere it is called with one change, on the thread that makes it.

    The jobs are for reading, within the call: a thread goes on with them afterwards. One that was
    removed when it completed is among them.

    Args:
        changes: `rocketjob.jobs.changed.Changed`, each with `job`, `events` and `source`.
    """


@hookspec
@stored_beside
def transition_writes(
    job: Job, event: str, source: str, target: str
) -> Sequence[Insert | Also] | None:
    """Return what is to be stored together with a change of state: both are, or neither.

    Called for the same changes as `state_changed` but the start by a server's claim, in whichever
    process makes the change (a worker, a server that reclaims a job, the command line, your own
    program), on the thread that makes it: after the before callbacks and the validation, and before
    anything is written. If the change is refused then, as somebody else was first, nothing of it is
    stored. Where another event follows in the same write, as a retry follows a failure, it is
    called for each, and `job.state` is not `target` but the last state.

    The job is for reading: what is changed on it here is not stored. Do not read or write the store
    here, for it may be out of reach while the job is not.

    Returns:
        `Insert(collection, document)`, which gets an `_id` if it has none, and is left out if
        there is one with its `_id` already; and `Also(collection, Write(filter, update))`, an
        update, or a delete if that is None, of one document that matches, or with `many=True` of
        all. They are stored beside the jobs. An error, and what the store refuses, is logged with
        the plugin's name and left out: the change is stored all the same.
    """
