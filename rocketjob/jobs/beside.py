"""What plugins store together with a change of a job's state: the hook `transition_writes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from rocketjob.base.errors import HookFailed
from rocketjob.base.log import Logger
from rocketjob.store import Also, Insert, context

log = Logger("rocketjob.jobs")


def stored_beside(job: Any, event: str, source: str, target: str) -> Sequence[Insert | Also]:
    """Return what is to be stored with a change: of a plugin that fails nothing, and it is named.

    A plugin's fault must not keep a job from ending, or from being reclaimed: what it brings is
    left out if the store does not take it.
    """
    plugins = context.current().plugins
    if not plugins.listens("transition_writes", type(job)):
        return ()

    def failed(error: HookFailed) -> None:
        log.error("not stored with a change", job_id=str(job.id), event=event, error=str(error))
        plugins.note(error)

    answers = plugins.answers(
        "transition_writes", failed, job=job, event=event, source=source, target=target
    )
    return [_may_be_left_out(each, answer.plugin) for answer in answers for each in answer.value]


def _may_be_left_out(brought: Insert | Also, plugin: str) -> Insert | Also:
    if isinstance(brought, Insert):
        document = {"_id": ObjectId(), **brought.document}
        return brought._replace(document=document, optional=True)
    return brought._replace(whose=f"the plugin {plugin} (hook transition_writes)")
