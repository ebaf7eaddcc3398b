"""Enqueue a job once the transaction of Django is committed."""

from __future__ import annotations

from typing import TypeVar

from django.db import transaction

from rocketjob import Job

J = TypeVar("J", bound=Job)


def enqueue_on_commit(job: J, using: str | None = None) -> J:
    """Store a new job after the commit: at once where no transaction is open.

    If the process dies between the two, or the store cannot be reached, there is no job; with
    `outbox.add` there always is one.

    Args:
        using: the database whose commit counts.

    Returns:
        the job, not stored yet.

    Raises:
        ValidationError: it is not valid; nothing will be stored.
    """
    job.check_class()
    job.validate()
    transaction.on_commit(job.submit, using=using)
    return job
