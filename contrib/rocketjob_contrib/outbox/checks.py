"""What `rocketjob doctor` says of outboxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rocketjob.base import clock
from rocketjob.base.text import counted
from rocketjob.server.checks import PROBLEM, WARNING, Finding, Patient
from rocketjob_contrib.outbox.outbox import Outbox, known

LATE = timedelta(minutes=1)


def look(patient: Patient) -> Iterator[Finding]:
    for outbox in known():
        yield from _look_at(outbox)


def _look_at(outbox: Outbox) -> Iterator[Finding]:
    try:
        waiting = outbox.waiting(clock.now() - LATE)
    except Exception as error:
        message = f"{outbox.name} cannot be read: {error}"
        yield Finding("outbox", WARNING, message, "is its database reached, and its table made?")
        return
    if not waiting.rows:
        return
    jobs = counted(waiting.rows, "job")
    message = f"{outbox.name}: {jobs} committed more than a minute ago and not in the store yet"
    if waiting.error:
        yield Finding(
            "outbox",
            PROBLEM,
            f"{message}; the store refuses one: {waiting.error}",
            "once the reason is gone it is stored; or remove its row",
        )
    else:
        yield Finding(
            "outbox",
            WARNING,
            message,
            "servers relay them, if the module that makes the outbox is in `app`",
        )
