"""Django: `pip install 'rocketjob[django]'`, and in the settings

    INSTALLED_APPS = [..., "rocketjob_contrib.django"]
    ROCKETJOB = {"url": "mongodb://..."}             # any setting; see the page Configuration

Jobs are in the module `jobs` of each app. `manage.py rocketjob` is the command line, set up for the
project: `manage.py rocketjob server` runs the jobs.

    enqueue_on_commit(ReceiptJob(order_id=order.id))     # lost if the process dies just then
    outbox.add(ReceiptJob(order_id=order.id))            # committed with the data, or not at all

`outbox` is the module `rocketjob_contrib.django.outbox`; `DjangoTransaction` runs `perform` in a
transaction; `rocketjob_contrib.django.testing` is for test cases.
"""

from __future__ import annotations

from rocketjob_contrib.django.enqueuing import enqueue_on_commit
from rocketjob_contrib.django.transactions import DjangoTransaction

__all__ = ["DjangoTransaction", "enqueue_on_commit"]
