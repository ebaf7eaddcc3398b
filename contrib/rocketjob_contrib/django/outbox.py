"""An outbox in a database of Django: its table is a migration of `rocketjob_contrib.django`.

    with transaction.atomic():
        order = Order.objects.create(...)
        outbox.add(ReceiptJob(order_id=order.id))

Whoever commits relays the job; the servers relay what a process left that died.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.db.models import Count, Max
from django.utils import timezone

from rocketjob import Job
from rocketjob_contrib import outbox as base
from rocketjob_contrib.django.models import OutboxRow
from rocketjob_contrib.django.transactions import fresh_connections
from rocketjob_contrib.outbox import outbox as every_outbox
from rocketjob_contrib.outbox.outbox import TABLE, Waiting, packed

J = TypeVar("J", bound=Job)


class DjangoOutbox(base.Outbox):
    """The table in one of `DATABASES`."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.name = TABLE if using == DEFAULT_DB_ALIAS else f"{TABLE} of {using}"
        self._is_there = False
        self._added: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()  # by connection

    @property
    def _rows(self) -> Any:
        return OutboxRow.objects.using(self.using)

    def add(self, job: J) -> J:
        id, data = packed(job)
        self._rows.create(id=id, job=data)
        added = self._added.setdefault(connections[self.using], [])
        added.append(id)
        transaction.on_commit(partial(self._relay_from, added, id), using=self.using)
        return job

    def _relay_from(self, added: list[str], id: str) -> None:
        """Relay a job and, in one go, those added since: of what is rolled back there is no row."""
        if id in added:
            ids = added[added.index(id) :]
            added.clear()
            self.relay_soon(ids)

    def relay(self, ids: Sequence[str] | None = None) -> int:
        if ids is not None:
            return super().relay(ids)
        with fresh_connections():  # the thread may be a server's
            return super().relay() if self._has_table() else 0

    def read(self, after: str, limit: int, ids: Sequence[str] | None) -> list[base.Row]:
        rows = self._rows.filter(id__gt=after)
        if ids is not None:
            rows = rows.filter(id__in=ids)
        with self._committed():
            found = list(rows.order_by("id").values_list("id", "job", "error")[:limit])
        return [base.Row(id, bytes(job), error) for id, job, error in found]

    def remove(self, ids: Sequence[str]) -> None:
        with self._committed():
            self._rows.filter(id__in=ids).delete()

    def note(self, id: str, error: str) -> None:
        with self._committed():
            self._rows.filter(id=id).update(error=error)

    def waiting(self, since: datetime) -> Waiting:
        before = since if settings.USE_TZ else timezone.make_naive(since)
        with fresh_connections():  # the thread may be one that looks again and again
            if not self._has_table():
                return Waiting(0, "")
            late = self._rows.filter(created_at__lt=before)
            found = late.aggregate(rows=Count("*"), why=Max("error"))
        return Waiting(found["rows"], found["why"] or "")

    def _committed(self) -> Any:
        """Refuse to be within a transaction, whose rows may still be rolled back."""
        return transaction.atomic(using=self.using, durable=True)

    def _has_table(self) -> bool:
        """Return whether the migration was run on this database: not every one needs it."""
        if not self._is_there:
            self._is_there = TABLE in connections[self.using].introspection.table_names()
        return self._is_there


_outboxes: dict[str, DjangoOutbox] = {}


def outbox_of(using: str | None = None) -> DjangoOutbox:
    """Return the outbox in a database; None: the one that models of the app are written to."""
    using = using or router.db_for_write(OutboxRow)
    if using not in _outboxes:
        _outboxes[using] = DjangoOutbox(using)
    return _outboxes[using]


def make_known() -> None:
    """Have servers relay what is in any of the databases."""
    for using in connections:
        every_outbox.make_known(outbox_of(using))


def add(job: J, using: str | None = None) -> J:
    """Add a new job to the transaction: it is stored if and when that is committed.

    Its callbacks of `save` and `create` run now. Outside of a transaction it is stored at once.

    Args:
        using: the database; the one that your data are in.

    Returns:
        the job, whose id is the one that it will have.

    Raises:
        ValidationError: it is not valid; nothing was added.
    """
    return outbox_of(using).add(job)


def relay(using: str | None = None) -> int:
    """Store the jobs that were committed; return how many. Servers do so by themselves.

    Raises:
        RuntimeError: within a transaction, except in a test case.
        Exception: the store or the database cannot be used now.
    """
    return outbox_of(using).relay()
