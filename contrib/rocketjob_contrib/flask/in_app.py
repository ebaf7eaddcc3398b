"""Run perform in a context of the application of Flask.

    class ReceiptJob(InApp, Job):
        def perform(self):
            current_app.config["SENDER"]; db.session.get(Order, self.order_id)

Each job, and each slice of a batch job, has a context of its own. What extensions do when one ends,
such as giving back the session of a database, is done after it. What stands left of it,
as in `class ReceiptJob(SessionTransaction, InApp, Job)`, is done within the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from flask import has_app_context

from rocketjob import Job, around
from rocketjob_contrib.flask.extension import app_of_process
from rocketjob_plugins.transaction import is_whole


class InApp(Job, abstract=True):
    """Mixin: run perform, or each slice, in `app.app_context()`."""

    callback_events: ClassVar[frozenset[str]] = frozenset({"slice"})  # of batch jobs

    @around("perform", when=is_whole)
    def _in_app(self) -> Iterator[None]:
        yield from _in_context()

    @around("slice")
    def _slice_in_app(self) -> Iterator[None]:
        yield from _in_context()


def _in_context() -> Iterator[None]:
    if has_app_context():  # performed here and now, or by a test
        yield
        return
    with app_of_process().app_context():
        yield
