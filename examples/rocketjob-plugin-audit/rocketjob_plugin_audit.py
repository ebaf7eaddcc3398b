"""Record who requested each job, and what became of it.

    class PayoutJob(Audited, Job): ...

    PayoutJob.create(requested_by="ann")

Field: `requested_by` (required; editable, kept on restart).
Every state change of every job is written as a line of JSON to the file that AUDIT_FILE names.
"""

import json
import os

from rocketjob import Job, field, hookimpl, now, validators


class Audited(Job, abstract=True):
    requested_by: str = field(
        validator=validators.present, user_editable=True, copy_on_restart=True
    )


@hookimpl
def register_mixins():
    return [Audited]


@hookimpl
def state_changed(job, event, source, target):
    line = {
        "at": now().isoformat(),
        "job": type(job).__name__,
        "id": str(job.id),
        "event": event,
        "from": source,
        "to": target,
        "requested_by": getattr(job, "requested_by", None),
    }
    with open(os.environ.get("AUDIT_FILE", "audit.jsonl"), "a") as file:
        file.write(json.dumps(line) + "\n")
