"""A stored job of many parts that a program performs itself, by `perform_now`.

Workers of servers may join it meanwhile, and servers take back what nobody holds. So the program
is registered for that time as a server is, with a heartbeat, and holds its claims under that name:
if it dies, they are reclaimed.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rocketjob.base import clock
from rocketjob.base.acts import by_nobody
from rocketjob.base.errors import StateConflict
from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.jobs.job import Job
from rocketjob.model.document import load_into
from rocketjob.model.record import record_of
from rocketjob.server.heartbeat import heartbeat
from rocketjob.server.recovery import can_be_joined
from rocketjob.server.server import Server
from rocketjob.worker import runner
from rocketjob.worker.runner import Worker

log = Logger("rocketjob.inline")


def perform_now(job: Job, heartbeat_seconds: float) -> Any:
    """Perform a stored job here, under a claim.

    Raises:
        StateConflict: it is in other hands.
    """
    job.validate()
    with _registered(job, heartbeat_seconds) as server:
        by = f"{server.incarnation}.1"
        worker = Worker(f"{server.name}:1", inline=True, claimed_by=by)
        if job.is_queued or (job.is_running and not can_be_joined(job)):
            _claim(job, worker)
        return runner.perform_now(job, worker)


def _claim(job: Job, worker: Worker) -> None:
    if any(record_of(job).changes(job)):
        job.save()
    by, name = worker.claimed_by, worker.name
    if job.is_queued:
        update = claims.claim_update(by, name, clock.now(), type(job).cleared_by_claim)
    else:
        update = claims.taken_over(by, name)
    stored = job.collection().find_one_and_update(
        {"_id": job.id, "state": job.state, "claimed_by": None}, update, return_document=True
    )
    if stored is None:
        raise StateConflict(f"{job!r} cannot be performed here: it is in other hands, or changed")
    load_into(job, stored)
    claims.hold(job, claims.claim_in(stored))
    runner.tell_of_start(job)


@contextmanager
def _registered(job: Job, heartbeat_seconds: float) -> Iterator[Server]:
    """Be known to the servers, as one that takes no other job."""
    incarnation = os.urandom(8).hex()
    new = Server(
        name=f"{socket.gethostname()}:{os.getpid()}:{incarnation[:4]}",
        incarnation=incarnation,
        state="running",
        max_workers=1,
        heartbeat_seconds=heartbeat_seconds,
        heartbeat=heartbeat(0, 1, [str(job.id)], []),
        started_at=clock.now(),
    )
    server = by_nobody(new.save)  # it is no server that somebody has made
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(server, job, ended), daemon=True)
    beating.start()
    try:
        yield server
    finally:
        ended.set()
        beating.join(5)
        by_nobody(server.delete)


def _beat(server: Server, job: Job, ended: threading.Event) -> None:
    number = 0
    while not ended.wait(server.heartbeat_seconds):
        number += 1
        beat = heartbeat(number, 1, [str(job.id)], [])
        try:
            # If the servers took it for dead it stays so: its claims are lost.
            Server.collection().update_one({"_id": server.id}, {"$set": {"heartbeat": beat}})
        except Exception as error:
            log.error("the heartbeat failed", error=f"{type(error).__name__}: {error}")
