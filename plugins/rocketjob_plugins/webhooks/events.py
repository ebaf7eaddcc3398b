"""What is told: how each event is described, and which jobs have failed since the last look."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.base.log import Logger
from rocketjob.base.passwords import hide_passwords
from rocketjob.store import Collection, Stored, Unit, Write, context
from rocketjob_plugins.webhooks import outbox
from rocketjob_plugins.webhooks.settings import own

JOBS_FAILED, BATCH_COMPLETED, SERVER_DEAD = "jobs.failed", "batch.completed", "server.dead"
log = Logger("rocketjob.webhooks")
MARKS = "rocket_job.webhook_marks"
MARK = "failed"  # the id of the mark up to which failed jobs have been told
LAG = timedelta(seconds=10)  # clocks differ, and a write takes its time
BACK = timedelta(minutes=15)  # how late a failure may be stored, or a clock be wrong
KEPT = 1000  # told failures that are remembered
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

    A worker writes that a job has failed after the time that it notes, much later if the store was
    away: so the look goes back beyond the mark, which remembers what was told of that window. The
    mark is moved in the same step, by whoever is first. The first time it is only set: what failed
    before there was a receiver is not told.
    """
    if JOBS_FAILED not in own().events:
        return
    mark, now = _mark(), clock.now()
    if mark is None:
        _marks().update_one({"_id": MARK}, {"$set": _mark_at(now)}, upsert=True)
        return
    since, until = mark["until"], now - LAG
    if since >= until:
        return
    content, told = _failed_between(max(mark["floor"], since - BACK), until, mark["told"])
    if content is not None or until - since > timedelta(minutes=1):
        # Too many to be remembered: what is stored late of these is not told, but none twice.
        moved = _mark_at(until) if len(told) > KEPT else {"until": until, "told": told}
        move = Write({"_id": MARK, "until": since}, {"$set": moved})
        brought = [] if content is None else outbox.inserts(JOBS_FAILED, content)
        context.current().store.commit([Unit.of(MARKS, move, brought)])


def _mark_at(now: datetime) -> Stored:
    """Return a mark: nothing that failed before is told."""
    return {"until": now, "floor": now, "told": []}


def _mark() -> Stored | None:
    """Return the mark; None if it has to be set, as there is none that can be right."""
    mark = _marks().find_one({"_id": MARK})
    if mark is None:
        return None
    until, floor, told = mark.get("until"), mark.get("floor"), mark.get("told")
    if not (isinstance(until, datetime) and isinstance(floor, datetime) and isinstance(told, list)):
        log.warning("the mark of told failures was damaged: it is set to now")
        return None
    if until > clock.now() + BACK:
        log.warning(
            "the mark of told failures was in the future, is a server's clock wrong? "
            "It is set to now",
            until=until,
        )
        return None
    return mark


def _failed_between(
    begin: datetime, until: datetime, told: list[Any]
) -> tuple[Stored | None, list[Stored]]:
    """Return what to tell, and what is told then: a job that was retried may fail again."""
    jobs = Job.collection()
    filter = {"state": "failed", "completed_at": {"$gt": begin, "$lte": until}}
    order = [("completed_at", 1)]
    fields = {"_id": 1, "completed_at": 1}
    window = list(jobs.find(filter, fields, sort=order, limit=KEPT + NAMED + 1))
    found = [{"id": each["_id"], "at": each["completed_at"]} for each in window]
    new = [each for each in found if each not in told]
    if not new:
        return None, found
    count = len(new)
    if len(found) > KEPT:
        count = max(count, jobs.count_documents(filter, limit=COUNTED) - len(told))
    named = {"state": "failed", "_id": {"$in": [each["id"] for each in new[:NAMED]]}}
    return {
        "count": count,
        "jobs": [_of_failed(stored) for stored in jobs.find(named, FIELDS, sort=order)],
    }, found


def _marks() -> Collection:
    return context.current().store.collection(MARKS)
