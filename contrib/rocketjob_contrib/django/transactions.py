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

from django.db import close_old_connections, transaction

from rocketjob_plugins.transaction import Transaction


class DjangoTransaction(Transaction, abstract=True):
    """Mixin: run perform, or each slice, in `transaction.atomic()`."""

    using: ClassVar[str | None] = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        # A worker's thread is long-lived: as Django does around a request, close connections that
        # the database has dropped, or that are older than CONN_MAX_AGE.
        close_old_connections()
        try:
            with transaction.atomic(using=self.using):
                yield
        finally:
            close_old_connections()
