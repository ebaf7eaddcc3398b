"""Audit: who did what to what, why, and what it was before.

    rocketjob jobs abort 55aeaf03a26ec0c1bd00008d --reason "wrong file"
    rocketjob audit --since 1d

Every change that a person makes by a command or on a page of Mission Control is a document of the
collection `rocket_job.audit`, stored in the same step as the change: there is neither without the
other. What servers do by themselves is in the history of jobs instead. In a program of your own::

    from rocketjob.base.acts import acting

    with acting(by="ada", how="tidy.py", reason="wrong file"):
        job.abort()

Who it was is the login of the page; of a command the setting `actor` (`ROCKETJOB_ACTOR`), or else
the login name: whoever can write to the store can also say another name.

    [audit]
    keep_days = 90

Encrypted values are hidden, and so is whatever looks like a password, a key or a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bson import ObjectId

import rocketjob
from rocketjob import Job, hookimpl
from rocketjob.base import clock
from rocketjob.base.settings import Setting, whole
from rocketjob.base.text import relative
from rocketjob.jobs.reasons import Section
from rocketjob.model.types import encode_any
from rocketjob.store import Insert
from rocketjob_plugins.audit.trail import (
    COLLECTION,
    AuditRecord,
    count_records,
    records,
    remove_old,
)

if TYPE_CHECKING:
    import click

    from rocketjob.base.acts import Act, Deed

__all__ = ["COLLECTION", "AuditRecord", "count_records", "records"]
KEEP = Setting("keep_days", 90, whole(1), "days for which the audit is kept", table="audit")
ON_JOB = 20  # records shown with a job


@hookimpl
def act_writes(act: Act, deed: Deed) -> Iterable[Insert]:
    stored = {
        "_id": ObjectId(),
        "at": clock.now(),
        "by": act.by,
        "via": act.via,
        "how": act.how,
        "reason": act.reason,
        "event": deed.event,
        "kind": deed.kind,
        "target": deed.id,
        "name": deed.name,
        "before": encode_any(dict(deed.before)),
        "after": encode_any(dict(deed.after)),
    }
    return [Insert(COLLECTION, {key: value for key, value in stored.items() if value is not None})]


@hookimpl
def job_sections(job: Job) -> list[Section]:
    lines = [
        f"{each.at:%Y-%m-%d %H:%M:%S}  {relative(each.at)}  {each.by or 'somebody'}  {each.event}  "
        f"{each.change}{f'  ({each.reason})' if each.reason else ''}  by {each.how}"
        for each in records(job=job.id, limit=ON_JOB)
    ]
    return [Section("Audit", lines)] if lines else []


@hookimpl
def sweep() -> None:
    remove_old(rocketjob.settings("audit").keep_days)


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    names = ("at", "target", "by", "name")
    return {COLLECTION: [{"keys": [(name, 1)], "name": name} for name in names]}


@hookimpl
def register_settings() -> list[Setting[Any]]:
    return [KEEP]


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_plugins.audit.command import audit  # for start-up time

    cli.add_command(audit)
