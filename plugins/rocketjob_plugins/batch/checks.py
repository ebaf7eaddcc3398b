"""What is looked at of batch jobs: input that may never come, and slices that have failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import counted, span
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import ORDER
from rocketjob.server.checks import OK, PROBLEM, WARNING, Finding
from rocketjob.server.kernel_checks import LONG_WAIT
from rocketjob_plugins.batch.category import InputCategory
from rocketjob_plugins.batch.settings import are_away
from rocketjob_plugins.batch.slices import InputSlices

SHOWN = 5
LOOKED_INTO = 10  # running jobs whose slices are counted for one verdict: each has its own
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


def failed_slices(patient: Any) -> Iterator[Finding]:
    """Name the running jobs that have failed slices: of the most urgent ones, a few.

    A job fails when its other slices are done; until then nothing else says that some have failed.
    """
    jobs = patient.store.collection(COLLECTION)
    for stored in jobs.find(PROCESSING, {"_type": 1}, sort=ORDER, limit=LOOKED_INTO):
        slices = InputSlices(stored["_id"], InputCategory()).collection
        try:
            failed = slices.count_documents({"state": "failed"})
        except Exception as error:
            if not are_away(error):
                raise
            advice = "is the store of slices there? rocketjob doctor"
            yield Finding("slices", PROBLEM, "the store of slices cannot be reached", advice)
            return
        if failed:
            yield Finding(
                "slices",
                PROBLEM,
                f"{counted(failed, 'slice')} of {stored['_type']} failed, which is still running",
                f"see why: rocketjob jobs show {stored['_id']}",
                {"id": stored["_id"], "failed": failed},
            )
