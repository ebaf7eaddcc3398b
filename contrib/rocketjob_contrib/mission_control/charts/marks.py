"""What people did meanwhile: orders to servers, and what was done to many jobs at once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from rocketjob import application
from rocketjob.base.log import Logger

if TYPE_CHECKING:
    from rocketjob_plugins.audit import AuditRecord

log = Logger("rocketjob.web")
LOOKED_AT = 500  # records, the newest
SHOWN = 20
ORDERS = ("pause", "resume", "stop", "kill", "drain")
MINUTE = timedelta(minutes=1)


@attrs.frozen
class Mark:
    """What somebody did in one minute."""

    at: datetime
    text: str


def marks_since(since: datetime, name: str | None = None) -> list[Mark]:
    """Return what people did since a time, the newest first; nothing where nobody records it.

    Args:
        name: of the class that is shown; None: of all.
    """
    if "audit" not in application.current().plugins.names:
        return []
    from rocketjob_plugins import audit  # only where it is loaded

    found: Counter[tuple[datetime, str, str, str]] = Counter()
    try:
        for record in audit.records(since=since, limit=LOOKED_AT):
            if name is None or record.kind != "job" or record.name == name:
                found[_key(record)] += 1
    except (AttributeError, TypeError) as error:  # people edit documents by hand
        log.warning("the audit cannot be read", error=f"{type(error).__name__}: {error}")
    return [
        Mark(at, _text(by, event, of, count))
        for (at, by, event, of), count in found.items()
        if count > 1 or event in ORDERS
    ][:SHOWN]


def _key(record: AuditRecord) -> tuple[datetime, str, str, str]:
    minute = record.at.replace(second=0, microsecond=0)
    return minute, record.by or "somebody", record.event, record.name or record.kind


def _text(by: str, event: str, of: str, count: int) -> str:
    many = f" ({count} times)" if count > 1 else ""
    return f"{by}: {event.replace('_', ' ')} {of}{many}"
