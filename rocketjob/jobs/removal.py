"""Telling plugins that jobs were created, and that they were removed and why."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rocketjob.store import context

DESTROYED = "destroyed"
EXPIRED = "expired"
HOUSEKEEPING = "housekeeping"
BY_EVENT = {"complete": "completed", "abort": "aborted", "fail": "failed"}
_why: contextvars.ContextVar[tuple[Any, str]] = contextvars.ContextVar("why", default=(None, ""))


def tell_created(job: Any) -> None:
    """Tell the observers that a new job was stored."""
    plugins = context.current().plugins
    if plugins.listens("job_created", type(job)):
        plugins.notify("job_created", job=job)


@contextmanager
def because(job: Any, why: str) -> Iterator[None]:
    """Say why a job is removed within a block; others that are removed meanwhile are not meant."""
    token = _why.set((job.id, why))
    try:
        yield
    finally:
        _why.reset(token)


def is_told(job_class: type[Any]) -> bool:
    """Return whether anybody is to be told of the removal of such jobs."""
    return context.current().plugins.listens("job_removed", job_class)


def tell_removed(job: Any) -> None:
    """Tell the observers that a job was removed; by whoever calls `because`, or by somebody."""
    if is_told(type(job)):
        id, why = _why.get()
        why = why if id == job.id else DESTROYED
        context.current().plugins.notify("job_removed", job=job, why=why)
