"""What plugins say to a job that is to be stored for the first time: the hook `before_enqueue`."""

from __future__ import annotations

from typing import Any

from rocketjob.base.errors import HookFailed, JobRefused, RocketJobError
from rocketjob.base.log import Logger
from rocketjob.store import context

log = Logger("rocketjob.jobs")


def ask_plugins(job: Any) -> None:
    """Let every plugin change a new job, or refuse it.

    Raises:
        JobRefused: a plugin does not let it be stored; the message names both.
        HookFailed: a plugin failed: what it would have said is not known.
    """
    plugins = context.current().plugins
    if not plugins.listens("before_enqueue", type(job)):
        return
    try:
        plugins.decide("before_enqueue", job=job)
    except HookFailed as failed:
        cause, name = failed.__cause__, type(job).__name__
        if isinstance(cause, JobRefused):
            reason = f"{cause.reason} (plugin {failed.plugin})"
            raise JobRefused(reason, cause.field, name) from cause
        if isinstance(cause, RocketJobError):
            raise cause from cause.__cause__
        raise


def is_let_in(document: Any, beside: Any) -> bool:
    """Return whether a document may be stored together with the end of a job.

    That job has done its work, and must not fail for it. One that is refused is left out; where a
    plugin has failed, which is no refusal, it is stored: a series must not end for that.
    """
    try:
        document.before_created()
    except JobRefused as refused:
        log.error("not created", after=repr(beside), reason=str(refused))
        return False
    except HookFailed as failed:
        log.error("created all the same", after=repr(beside), error=str(failed))
        context.current().plugins.note(failed)
    return True
