"""Run perform in a transaction of your own database.

    class Billing(Transaction, Job):
        def transaction(self):
            return Session.begin()          # any context manager

        def perform(self): ...

It is committed when perform and the callbacks within end well, and rolled back when an error
passes. A batch job has one for each slice. For SQLAlchemy and Django there are ready mixins in
`rocketjob_contrib`.

The transaction is not the job's: a process that dies between its commit and the job's completion
has the job performed again. Write what perform does so that doing it twice is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from rocketjob import Job, around, hookimpl


def _is_whole(job: Any) -> bool:
    return not hasattr(job, "input_categories")


class Transaction(Job, abstract=True):
    """Mixin: see the module."""

    callback_events: ClassVar[frozenset[str]] = frozenset({"slice"})  # those of batch jobs

    def transaction(self) -> AbstractContextManager[Any]:
        """Return the context manager to work in."""
        raise NotImplementedError(
            f"{type(self).__name__} must have a method `transaction` that returns a context manager"
        )

    @around("perform", when=_is_whole)
    def _in_transaction(self) -> Iterator[None]:
        with self.transaction():
            yield

    @around("slice")
    def _slice_in_transaction(self) -> Iterator[None]:
        with self.transaction():
            yield


@hookimpl
def register_mixins() -> list[type[Job]]:
    return [Transaction]
