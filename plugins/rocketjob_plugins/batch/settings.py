"""Where the slices of batch jobs are stored."""

from __future__ import annotations

from rocketjob.application import current
from rocketjob.base.settings import Setting, text
from rocketjob.store import Store

SLICES_URL: Setting[str | None] = Setting(
    "slices_url", None, text, "where batch slices live, if elsewhere"
)


def slices_store() -> Store:
    """Return the store of the slices: that of `slices_url`, or the one of everything else."""
    application = current()
    return application.store_at(SLICES_URL.of(application.config))
