"""Transactions of Django: `pip install 'rocketjob[django]'`.

    class Billing(DjangoTransaction, Job):
        using = "default"                           # which of DATABASES

        def perform(self):
            Invoice.objects.create(...)             # committed when perform succeeds

`rocketjob_contrib.django.worker` in `app` sets Django up before the models are imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from django.db import connections, transaction

from rocketjob_plugins.transaction import Transaction


class DjangoTransaction(Transaction, abstract=True):
    """Mixin: run perform, or each slice, in `transaction.atomic()`."""

    using: ClassVar[str | None] = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with fresh_connections(), transaction.atomic(using=self.using):
            yield


@contextmanager
def fresh_connections() -> Iterator[None]:
    """Close connections that are dropped, or older than CONN_MAX_AGE, as Django does for a request.

    A worker's thread is long-lived. A connection in a transaction is left alone: a test case's is.
    """
    _close_old_connections()
    try:
        yield
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
