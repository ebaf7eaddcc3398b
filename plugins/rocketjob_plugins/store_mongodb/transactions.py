"""Transactions of one thread: begun, committed though an answer is lost, and given up.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from rocketjob.base.backoff import Backoff

COMMIT_SECONDS = 60.0  # how long the outcome of a commit is asked for


class InTransaction:
    """A collection whose calls belong to the thread's transaction. Only there is it in between.

    `ClientSession.bind` of pymongo would do the same, but forbids the thread any other client
    until its end: slices may be in another cluster than jobs.
    """

    METHODS = frozenset(
        {"aggregate", "bulk_write", "count_documents", "delete_many", "delete_one", "distinct"}
        | {"find", "find_one", "find_one_and_delete", "find_one_and_replace"}
        | {"find_one_and_update", "insert_many", "insert_one", "replace_one", "update_many"}
        | {"update_one"}
    )

    def __init__(self, collection: Any, session: Any) -> None:
        self._collection, self._session = collection, session

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._collection, name)
        if name not in self.METHODS:
            return attribute

        def call(*args: Any, session: Any = None, **kwargs: Any) -> Any:
            return attribute(*args, session=session or self._session, **kwargs)

        return call


def begin(session: Any) -> None:
    from pymongo import ReadPreference, WriteConcern
    from pymongo.read_concern import ReadConcern

    session.start_transaction(
        read_concern=ReadConcern("snapshot"),
        write_concern=WriteConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )


def abort(session: Any) -> None:
    with contextlib.suppress(Exception):  # the server gives it up by itself, in the worst case
        if session.in_transaction:
            session.abort_transaction()


def commit(session: Any) -> None:
    """Commit, and ask again while it is not known whether that was done; asking is harmless."""
    from pymongo.errors import PyMongoError

    end, pauses = time.monotonic() + COMMIT_SECONDS, Backoff(0.05, 2.0)
    while True:
        try:
            session.commit_transaction()
            return
        except PyMongoError as error:
            unknown = error.has_error_label("UnknownTransactionCommitResult")
            if not unknown or time.monotonic() > end:
                raise
        time.sleep(pauses.next())
