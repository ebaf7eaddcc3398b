"""What is told: how each event is described, and which jobs have failed since the last look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.base.passwords import hide_passwords
from rocketjob.store import Collection, Stored, Unit, Write, context
from rocketjob_plugins.webhooks import outbox
from rocketjob_plugins.webhooks.settings import own

JOBS_FAILED, BATCH_COMPLETED, SERVER_DEAD = "jobs.failed", "batch.completed", "server.dead"
MARKS = "rocket_job.webhook_marks"
MARK = "failed"  # the id of the mark up to which failed jobs have been told
LAG = timedelta(seconds=10)  # clocks differ, and a write takes its time
NAMED = 50  # jobs of a message; the others are counted
COUNTED = 10_000
LONGEST = 500  # characters of a text
FIELDS = dict.fromkeys(
    ("_id", "_type", "description", "completed_at", "exception.class_name", "exception.message"), 1
)


def of_batch(job: Any) -> Stored:
    """Return that a batch job has completed."""
    return {
        "job": {
            "id": str(job.id),
            "class": job.type_name(),
            "description": _brief(job.description),
            "record_count": job.record_count,
            "seconds": job.seconds,
        }
    }


def of_server(server: Server) -> Stored:
    """Return that a server died."""
    return {"server": {"id": str(server.id), "name": server.name, "host": server.host}}


def _of_failed(stored: Stored) -> Stored:
    error = stored.get("exception")
    error = error if isinstance(error, dict) else {}
    return {
        "id": str(stored["_id"]),
        "class": str(stored.get("_type")),
        "description": _brief(stored.get("description")),
        "failed_at": stored.get("completed_at"),
        "exception": {
            "class_name": _brief(error.get("class_name")),
            "message": _brief(error.get("message")),
        },
    }


def _brief(value: Any) -> str | None:
    return None if value is None else hide_passwords(str(value))[:LONGEST]


def tell_of_failed() -> None:
    """Store one message of the jobs that have failed since the last one.

    The mark is moved in the same step, by whoever is first. The first time it is only set: what
    failed before there was a receiver is not told.
    """
    if JOBS_FAILED not in own().events:
        return
    mark, until = _marks().find_one({"_id": MARK}), clock.now() - LAG
    if mark is None:
        _marks().update_one({"_id": MARK}, {"$setOnInsert": {"until": clock.now()}}, upsert=True)
        return
    since = mark["until"]
    content = _failed_between(since, until) if since < until else None
    if content is not None or until - since > timedelta(minutes=1):
        move = Write({"_id": MARK, "until": since}, {"$set": {"until": until}})
        brought = [] if content is None else outbox.inserts(JOBS_FAILED, content)
        context.current().store.commit([Unit.of(MARKS, move, brought)])


def _failed_between(since: Any, until: Any) -> Stored | None:
    filter = {"state": "failed", "completed_at": {"$gt": since, "$lte": until}}
    jobs = Job.collection()
    found = list(jobs.find(filter, FIELDS, sort=[("completed_at", 1)], limit=NAMED + 1))
    if not found:
        return None
    many = len(found) > NAMED
    count = jobs.count_documents(filter, limit=COUNTED) if many else len(found)
    return {"count": count, "jobs": [_of_failed(stored) for stored in found[:NAMED]]}


def _marks() -> Collection:
    return context.current().store.collection(MARKS)
