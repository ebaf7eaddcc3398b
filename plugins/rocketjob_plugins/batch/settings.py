"""Where the slices of batch jobs are stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rocketjob.application import Application, current
from rocketjob.base import deprecation
from rocketjob.base.errors import StoreUnavailable
from rocketjob.base.settings import Setting, string
from rocketjob.jobs.exception import message_of
from rocketjob.store import Store
from rocketjob.store.away import is_away

SLICES_URL: Setting[str | None] = Setting(
    "slices_url", None, string, "where batch slices live, if elsewhere"
)


def slices_store() -> Store:
    """Return the store of the slices: that of `slices_url`, or the one of everything else."""
    application = current()
    return application.store_at(SLICES_URL.of(application.config))


def are_away(error: BaseException) -> bool:
    """Return whether an error says that the store of slices or of jobs is out of reach for now."""
    return is_away(error) or slices_store().is_transient(error)


@contextlib.contextmanager
def within_reach() -> Iterator[None]:
    """Let errors of a store that is away be ours, whichever store it is and whatever is called.

    It is for what batch itself asks of stores: what a job calls may raise the same errors of other
    servers.

    Raises:
        StoreUnavailable: the store of the slices, or of jobs, is out of reach.
    """
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as error:
        if are_away(error):
            slices = slices_store()
            store = slices if slices.is_transient(error) else current().store
            raise StoreUnavailable(f"{store.url}: {message_of(error)}") from error
        raise


def check_slices_store(patient: Any) -> Iterator[Any]:
    """Look for `rocketjob doctor` whether the store of the slices is well, if it is another one."""
    from rocketjob.server.checks import OK, Finding, complaints  # for start-up time

    url = SLICES_URL.of(patient.application.config)
    if url is not None:
        store = patient.application.store_at(url)
        report = store.check()
        where = report.get("absent") or f"they are in {store.url}"
        yield Finding("slices", OK, where, data=report)
        yield from complaints("slices", report)


def _slices_store_of(application: Application) -> Store:
    deprecation.warn("Application.slices_store", f"{__name__}.slices_store()")
    return application.store_at(SLICES_URL.of(application.config))


# In version 0.1 the kernel had it.
setattr(Application, "slices_store", property(_slices_store_of))  # noqa: B010
