"""Run perform in a transaction of your own database.

    class Billing(Transaction, Job):
        def transaction(self):
            return Session.begin()          # any context manager

        def perform(self): ...

It is committed when perform and the callbacks inside it succeed, and rolled back when they raise. A
batch job has one transaction for each slice. `rocketjob_contrib` has ready-made mixins for
SQLAlchemy and Django.

It does not include the job itself: if the process dies between the commit and the job's completion,
the job runs again. Write perform so that running it twice is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from rocketjob import Job, around, hookimpl
from rocketjob.base.errors import ConfigurationError

SLICE = "slice"


def is_whole(job: Job) -> bool:
    """Return whether one worker performs a job as a whole, not several of them its slices."""
    return type(job).joinable is None


class Transaction(Job, abstract=True):
    """Mixin: see the module."""

    __example__: ClassVar[dict[str, Any]] = {"transaction": lambda self: nullcontext()}
    callback_events: ClassVar[frozenset[str]] = frozenset({SLICE})  # of batch jobs

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(abstract=abstract, **options)
        if not abstract and cls.transaction is Transaction.transaction:
            raise ConfigurationError(
                f"{cls.__name__} must have a method `transaction` that returns a context manager, "
                "for example `return Session.begin()`"
            )

    def transaction(self) -> AbstractContextManager[Any]:
        """Return the context manager to run in; each class defines its own."""
        raise NotImplementedError

    @around("perform", when=is_whole)
    def _in_transaction(self) -> Iterator[None]:
        with self.transaction():
            yield

    @around(SLICE)
    def _slice_in_transaction(self) -> Iterator[None]:
        with self.transaction():
            yield


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Transaction]
