"""The MongoDB store: pymongo's own collections, as they are.

    url = "mongodb://user:password@host1,host2,host3/jobs?replicaSet=rs0"

The URL is pymongo's, with all of its options; the database is the URL's, or `rocketjob`. Writes are
acknowledged by a majority, reads go to the primary. Transactions are used where the deployment has
them (a replica set or a sharded cluster); elsewhere what belongs together is written in an order
that can be taken up again. Idle workers are woken by change streams, or a tailable cursor on a
capped collection, or they poll. `rocketjob doctor` says what was found, and the options
`rocketjobTransactions` and `rocketjobWakeUp` overrule it.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rocketjob import hookimpl
from rocketjob.store import Store

if TYPE_CHECKING:
    from rocketjob.base.config import Config
    from rocketjob.server.checks import Check, Finding
    from rocketjob.server.scratch import Scratch
    from rocketjob_plugins.store_mongodb.store import MongoStore

__all__ = ["MongoStore"]

SCHEMES = ("mongodb:", "mongodb+srv:")


@hookimpl
def open_store(url: str, config: Config) -> Store | None:
    if not url.startswith(SCHEMES):
        return None
    from rocketjob_plugins.store_mongodb.store import MongoStore

    return MongoStore(url, workers=config.workers)


@hookimpl
def open_scratch(url: str, config: Config) -> Scratch | None:
    if not url.startswith(SCHEMES):
        return None
    from rocketjob_plugins.store_mongodb.scratch import make

    return make(url)


@hookimpl
def register_checks() -> list[Check]:
    from rocketjob.server.checks import Check, Patient  # for start-up time

    def look(patient: Patient) -> Iterable[Finding]:
        if not patient.application.config.url.startswith(SCHEMES):
            return ()
        from rocketjob_plugins.store_mongodb import checks

        return checks.look(patient)

    return [Check("store", look)]


def __getattr__(name: str) -> object:
    if name == "MongoStore":  # pymongo is loaded only where it is used
        from rocketjob_plugins.store_mongodb.store import MongoStore

        return MongoStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
