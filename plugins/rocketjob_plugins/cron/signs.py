"""What the verdict depends on of schedules: runs that are overdue, and series that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import span
from rocketjob.jobs.claims import COLLECTION
from rocketjob.server.checks import WARNING, Finding
from rocketjob_plugins.cron.job import INDEX, Cron

LATE = timedelta(minutes=2)
LOOKED_AT = 50  # of the jobs that are due since a time of their own, those that wait for longest


def overdue(patient: Any) -> Iterator[Finding]:
    """Name the scheduled job that should have started long ago."""
    jobs = patient.store.collection(COLLECTION)
    filter = {"state": "queued", "run_at": {"$lte": clock.now() - LATE}}
    fields = {"_type": 1, "run_at": 1, "cron_schedule": 1}
    late = jobs.find(filter, fields, sort=[("run_at", 1)], limit=LOOKED_AT)
    for stored in late:
        if stored.get("cron_schedule"):
            seconds = clock.now().timestamp() - stored["run_at"].timestamp()
            yield Finding(
                "schedules",
                WARNING,
                f"{stored['_type']} should have run {span(seconds)} ago by its schedule",
                f"ask why: rocketjob jobs explain {stored['_id']}",
                {"id": stored["_id"], "run_at": stored["run_at"]},
            )
            return


def has_series(cls: type[Cron]) -> bool:
    """Return whether an instance of a class runs, or waits for its time."""
    name, alive = cls.key_name(), cls.where({"state": {"$in": ["queued", "running"]}})
    keyed = alive.where({INDEX: {"$gte": f"{name}#", "$lt": f"{name};"}})  # see `_cron_keys`
    return keyed.exists() or cls.scheduled().exists() or cls.running().exists()  # it is not single
