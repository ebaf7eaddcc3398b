"""Jobs of other code than this: what newer code has stored is left to it, the rest is renewed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rocketjob.base.log import Logger
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.holds import Hold
from rocketjob.jobs.job import Job
from rocketjob.model.record import record_of
from rocketjob.model.registry import lookup
from rocketjob.model.renewal import newer_than
from rocketjob.store import Store, Write

log = Logger("rocketjob.queue")


def hold_of_newer(stored: Mapping[str, Any]) -> Hold | None:
    """Return what holds back a job that newer code has stored; None if it is not one.

    Raises:
        ValueError: its version is not a number.
    """
    cls = lookup(str(stored.get("_type")), Job)
    newer = None if cls is None else newer_than(cls, stored)
    return None if newer is None else Hold("schema_version", *newer)


def renew(store: Store, jobs: Sequence[Job]) -> list[Job]:
    """Store claimed jobs of earlier code as their class has them now, in one go.

    Whoever edits them from here on does so under the present names. Where the store is away they
    are renewed when they end.

    Returns:
        those that somebody else has changed since they were read.
    """
    try:
        made = store.write_many(COLLECTION, [_renewal(job) for job in jobs])
    except Exception as error:
        log.warning("jobs of earlier code are not renewed yet", error=message_of(error))
        return []
    for job, held in zip(jobs, made, strict=True):
        if held:
            record_of(job).renewal = None
    return [job for job, held in zip(jobs, made, strict=True) if not held]


def _renewal(job: Job) -> Write:
    renewal = record_of(job).renewal
    assert renewal is not None
    return Write({**renewal.guard, **job.write_guard()}, renewal.update())
