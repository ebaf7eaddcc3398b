"""What a deployment of MongoDB is, and how it is used: by what it says, and by what was tried.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rocketjob.base.clock import to_utc
from rocketjob.base.errors import StoreError
from rocketjob_plugins.store_mongodb import failures, judgement, trials

if TYPE_CHECKING:
    import pendulum

SHARDED = "isdbgrid"  # what `hello` of a router says
NO_SUCH_COMMAND = frozenset({59, 115})


class Deployment:
    """One deployment, as a client sees it.

    Args:
        database: returns pymongo's database, of the client that the store has by then.
        url: for messages.
        connect: returns a client for trials.
    """

    def __init__(self, database: Callable[[], Any], url: str, connect: Callable[[], Any]) -> None:
        self._database, self.url, self._connect = database, url, connect
        info = _build_info(self.client)
        self.server = judgement.server_name(info)
        self.facts = _facts(self.client)
        hosts = ",".join(self.facts.get("hosts", ()))
        self.build = f"{self.server} {info.get('gitVersion', '')} {self.describe()} {hosts}"

    @property
    def database(self) -> Any:
        return self._database()

    @property
    def client(self) -> Any:
        return self.database.client

    def describe(self) -> str:
        """Say what it is, such as `standalone`."""
        if self.facts.get("msg") == SHARDED:
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

    def judge(self) -> None:
        """Find out what the server does: as it is remembered, or by trying.

        Raises:
            StoreError: no job can be trusted to it.
        """
        self.judgement = judgement.judged(
            self.database, self.server, self.build, self._connect, self.url
        )

    def try_again(self) -> judgement.Judgement:
        """Try what the server does now; what is remembered and used stays as it is."""
        return judgement.tried(self._connect, self.database.name, self.server)

    def time(self) -> pendulum.DateTime | None:
        """Return the server's time, if it tells."""
        from pymongo.errors import OperationFailure

        try:
            told = self.client.admin.command("hello").get("localTime")
        except OperationFailure:  # not every relative of MongoDB has it
            return None
        return to_utc(told) if isinstance(told, datetime) else None

    def find_wake_up(self, wanted: str | None) -> str:
        """Return the best way to wake idle workers, or the one that is wanted.

        Every process looks when it connects: also one that only writes has to know whether others
        wait for its word.
        """
        replicated = self.is_replicated or wanted == "changeStreams"
        watches = replicated and self.judgement.has(trials.CHANGE_STREAMS)
        if wanted in ("changeStreams", None) and watches:
            return "changeStreams"
        if wanted in ("tailable", None) and self.judgement.has(trials.TAILABLE):
            return "tailable"
        if wanted in ("polling", None):
            return "polling"
        ability = trials.TAILABLE if wanted == "tailable" else trials.CHANGE_STREAMS
        raise self._lacks(f"rocketjobWakeUp={wanted}", ability)

    def find_transactions(self, wanted: bool | None) -> bool:
        """Return whether to use transactions; only those that were tried are trusted."""
        can = self.judgement.has(trials.TRANSACTIONS)
        if wanted and not can:
            raise self._lacks("rocketjobTransactions=true", trials.TRANSACTIONS)
        return self.is_replicated and can if wanted is None else wanted

    def _lacks(self, option: str, ability: str) -> StoreError:
        return StoreError(
            f"{self.url} ({self.server}) lacks what {option} needs: "
            f"{self.judgement.lacks[ability]}. Leave the option out, and the best way that it has "
            "is used"
        )

    @property
    def is_replicated(self) -> bool:
        """Whether it is a replica set or a sharded cluster."""
        return "setName" in self.facts or self.facts.get("msg") == SHARDED


def _build_info(client: Any) -> dict[str, Any]:
    from pymongo.errors import OperationFailure

    try:
        info: dict[str, Any] = client.admin.command("buildInfo")
    except OperationFailure as error:
        if NO_SUCH_COMMAND.isdisjoint(failures.codes(error)):
            raise
        return {}
    return info


def _facts(client: Any) -> dict[str, Any]:
    """Return what the driver has learnt by `hello`, or `isMaster` of those that know no other."""
    seen = client.topology_description.server_descriptions().values()
    best = max(seen, key=lambda each: each.is_writable)
    if best.server_type_name in ("LoadBalancer", "Unknown"):  # not asked, or lost just now
        hello: dict[str, Any] = client.admin.command("hello")
        return hello
    facts: dict[str, Any] = {"isWritablePrimary": best.is_writable}
    facts["maxWireVersion"] = best.max_wire_version
    if best.server_type_name == "Mongos":
        return {**facts, "msg": SHARDED}
    if best.replica_set_name:
        facts["setName"] = best.replica_set_name
    facts["hosts"] = sorted(f"{host}:{port}" for host, port in best.all_hosts or {best.address})
    return facts
