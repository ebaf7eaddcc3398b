"""Record who requested each job, and what became of it.

    class PayoutJob(Audited, Job): ...

    PayoutJob.create(requested_by="ann")

Field: `requested_by` (required; editable, kept on restart).
Every change of state of every job, but its start, becomes a document in the collection `audit`. The
two are stored together or not at all, so that nothing is missing, wherever a process dies.
"""

from typing import ClassVar

from rocketjob import Job, field, hookimpl, now, validators
from rocketjob.store import Insert

COLLECTION = "audit"


class Audited(Job, abstract=True):
    """Mixin: see the module."""

    __example__: ClassVar[dict[str, str]] = {"requested_by": "ann"}

    requested_by: str = field(
        validator=validators.present, user_editable=True, copy_on_restart=True
    )


@hookimpl
def register_mixins():
    return [Audited]


@hookimpl
def register_indexes():
    return {COLLECTION: [{"keys": [("job_id", 1)], "name": "job_id"}]}


@hookimpl
def transition_writes(job, event, source, target):
    line = {
        "at": now(),
        "job": type(job).__name__,
        "job_id": job.id,
        "event": event,
        "from": source,
        "to": target,
        "requested_by": getattr(job, "requested_by", None),
    }
    return [Insert(COLLECTION, line)]
