"""What is looked at of batch jobs: input that may never come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import span
from rocketjob.jobs.claims import COLLECTION
from rocketjob.server.checks import OK, WARNING, Finding
from rocketjob.server.kernel_checks import LONG_WAIT

SHOWN = 5
PROCESSING = {"state": "running", "sub_state": "processing"}


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
