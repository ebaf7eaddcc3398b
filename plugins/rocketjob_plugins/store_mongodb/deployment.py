"""What a deployment of MongoDB can do: asked of it, or tried, when a store connects.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rocketjob.base.errors import StoreError
from rocketjob.base.log import Logger
from rocketjob_plugins.store_mongodb import failures, tailable

log = Logger("rocketjob.store")


class Deployment:
    """One deployment, as a client sees it.

    Args:
        database: returns pymongo's database, of the client that the store has by then.
        url: for messages.
        probed: a collection in which nothing but looks are made.
    """

    def __init__(self, database: Callable[[], Any], url: str, probed: str) -> None:
        self._database, self.url, self.probed = database, url, probed
        self.facts: dict[str, Any] = self.client.admin.command("hello")

    @property
    def database(self) -> Any:
        return self._database()

    @property
    def client(self) -> Any:
        return self.database.client

    def describe(self) -> str:
        """Say what it is, such as `standalone`."""
        if self.facts.get("msg") == "isdbgrid":
            return "sharded cluster"
        name = self.facts.get("setName")
        return f"replica set {name}" if name else "standalone"

    def status(self) -> dict[str, Any]:
        """Return who the user is, and what it may do."""
        from pymongo.errors import OperationFailure

        try:
            status: dict[str, Any] = self.client.admin.command(
                "connectionStatus", showPrivileges=True
            )
        except OperationFailure:  # not every relative of MongoDB has it
            return {}
        return status

    def find_wake_up(self, wanted: str | None) -> str:
        """Return the best way to wake idle workers, or the one that is wanted.

        Every process looks when it connects: also one that only writes has to know whether others
        wait for its word.
        """
        replicated = self.is_replicated or wanted == "changeStreams"
        if wanted in ("changeStreams", None) and replicated and self.can_watch():
            return "changeStreams"
        if wanted in ("tailable", None) and self.can_tail():
            return "tailable"
        if wanted in ("polling", None):
            return "polling"
        raise StoreError(
            f"{self.url} lacks what rocketjobWakeUp={wanted} needs. Leave the option out, and "
            "the best way that it has is used"
        )

    @property
    def is_replicated(self) -> bool:
        """Whether it is a replica set or a sharded cluster."""
        return "setName" in self.facts or self.facts.get("msg") == "isdbgrid"

    def can_commit(self) -> bool:
        """Try a transaction that reads: some relatives of MongoDB claim a set and have none."""

        def read(session: Any) -> None:
            self.database[self.probed].find_one({"_id": None}, session=session)

        return self._works("transactions", lambda: self._run(read))

    def _run(self, step: Callable[[Any], None]) -> None:
        with self.client.start_session() as session, session.start_transaction():
            step(session)

    def can_watch(self) -> bool:
        def look() -> None:
            with self.database.watch(max_await_time_ms=1) as stream:
                stream.try_next()

        return self._works("change streams", look)

    def can_tail(self) -> bool:
        tails = False

        def look() -> None:
            nonlocal tails
            tails = tailable.can_tail(self.database)

        return self._works("capped collections", look) and tails

    def _works(self, what: str, step: Callable[[], None]) -> bool:
        from pymongo.errors import PyMongoError

        try:
            step()
        except PyMongoError as error:
            if failures.is_transient(error):
                raise  # that says nothing of what the deployment can do
            log.info(f"the deployment has no {what}", error=failures.reason(error))
            return False
        return True
