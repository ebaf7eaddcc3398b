"""Enqueue in the same transaction as your data: both are committed, or neither.

    outbox = Outbox(engine)                      # rocketjob_contrib.sqlalchemy; of Django: outbox

    with Session.begin() as session:
        session.add(order)
        outbox.add(session, ReceiptJob(order_id=order.id))

The job is a row of your own database, written in your transaction, under the id that the job will
have. Once that is committed the row is relayed: the job is stored, and the row removed. Whoever
commits does so at once; what is left where a process dies, or the store is away, is relayed by the
servers, every `heartbeat_seconds`. Each job is stored exactly once, see `relaying`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookimpl
from rocketjob_contrib.outbox import receipts
from rocketjob_contrib.outbox.outbox import Outbox, Row, known, relay_all

if TYPE_CHECKING:
    from rocketjob.server.checks import Check

__all__ = ["Outbox", "Row", "known", "relay_all"]


@hookimpl
def sweep() -> None:
    relay_all()
    receipts.forget()


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    return receipts.INDEXES


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check  # for start-up time
    from rocketjob_contrib.outbox.checks import look

    return [Check("outbox", look)]
