"""What is looked at of batch jobs: input that may never come, and jobs that wait for approval."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import span
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import ORDER
from rocketjob.server.checks import OK, WARNING, Finding
from rocketjob.server.kernel_checks import LONG_WAIT

SHOWN = 5
PROCESSING = {"state": "running", "sub_state": "processing"}
HELD = {"state": "paused", "held_by": {"$exists": True}}
HELD_FIELDS = dict.fromkeys(("_type", "completed_at", "held_by", "held_text"), 1)


def check_inputs(patient: Any) -> Iterator[Finding]:
    """Name the jobs that have begun and whose input is not complete, as after a killed upload."""
    jobs = patient.store.collection(COLLECTION)
    filter = {**PROCESSING, "record_count": None}
    for stored in jobs.find(filter, {"_type": 1, "created_at": 1}, limit=SHOWN):
        age = clock.now() - stored["created_at"]
        is_old = age > LONG_WAIT
        advice = "was its upload killed? Upload again, or abort it: rocketjob jobs abort"
        yield Finding(
            "batch",
            WARNING if is_old else OK,
            f"{stored['_type']} {stored['_id']} waits for its input, "
            f"{span(age.total_seconds())} after it was created",
            advice if is_old else "",
            {"id": stored["_id"]},
        )


def held_jobs(patient: Any) -> Iterator[Finding]:
    """Name the jobs that wait for somebody to approve that they go on, the most urgent first."""
    jobs = patient.store.collection(COLLECTION)
    for stored in jobs.find(HELD, HELD_FIELDS, sort=ORDER, limit=SHOWN):
        at = stored.get("completed_at")
        since = f" for {span((clock.now() - at).total_seconds())}" if _is_time(at) else ""
        yield Finding(
            "approvals",
            WARNING,
            f"{stored['_type']} waits for approval{since}: {stored.get('held_text')}",
            f"let it go on: rocketjob batch approve {stored['_id']}",
            {"id": stored["_id"], "held_by": stored["held_by"]},
        )


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime)  # people edit documents by hand
