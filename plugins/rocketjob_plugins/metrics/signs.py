"""What the verdict depends on of what was counted: jobs that take far longer than others did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import counted, span
from rocketjob.jobs.claims import COLLECTION
from rocketjob.queue.dispatch import ORDER
from rocketjob.server.checks import WARNING, Finding
from rocketjob_plugins.metrics.series import read
from rocketjob_plugins.metrics.settings import HOURS_DAYS

FAR_LONGER = 5  # times as long as 95 % of the class
LEAST = 60.0  # seconds: what takes less is nothing to look at
ENOUGH = 20  # jobs of a class, to say what is usual
LOOKED_AT = 200  # running jobs
DAYS = 7
KNOWN = "metrics.usual"  # in the patient's memory
KNOWN_FOR = timedelta(minutes=5)


def long_runs(patient: Any) -> Iterator[Finding]:
    """Name the running job that takes far longer than its class usually does."""
    usual, now = _usual(patient), clock.now().timestamp()
    jobs, fields = patient.store.collection(COLLECTION), {"_type": 1, "started_at": 1}
    long: list[tuple[float, float, Any]] = []
    for stored in jobs.find({"state": "running"}, fields, sort=ORDER, limit=LOOKED_AT):
        started, most = stored.get("started_at"), usual.get(stored["_type"])
        if most is None or not isinstance(started, datetime):
            continue
        seconds = now - started.timestamp()
        if seconds > max(LEAST, FAR_LONGER * most):
            long.append((seconds / max(most, 1.0), seconds, stored))
    if long:
        _, seconds, worst = max(long, key=lambda each: each[0])
        many = counted(len(long), "job takes", "jobs take")
        yield Finding(
            "running jobs",
            WARNING,
            f"{many} far longer than usual: {worst['_type']} has been running for "
            f"{span(seconds, 2)}, and 95 % take less than {span(max(1, usual[worst['_type']]), 2)}",
            f"see where it is: rocketjob jobs show {worst['_id']}",
            {"id": worst["_id"], "seconds": seconds},
        )


def _usual(patient: Any) -> dict[str, float]:
    """Return what 95 % of the jobs of each class took less than; looked up now and then."""
    at, found = patient.memory.get(KNOWN, (None, {}))
    if at is None or at < clock.now() - KNOWN_FOR:
        days = min(DAYS, HOURS_DAYS.of(patient.application.config))
        found = {
            name: p95
            for name, figures in read(timedelta(days=days), by="hour").classes.items()
            if figures.run.count >= ENOUGH and (p95 := figures.run.quantile(0.95)) is not None
        }
        patient.memory[KNOWN] = (clock.now(), found)
    usual: dict[str, float] = found
    return usual
