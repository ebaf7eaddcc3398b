"""Which server this is, and whether it does what RocketJob rests on: tried once, and remembered.

What was found is stored in the deployment itself, under the server's version and build, so that
not every process tries again; a server that was refused is tried by whoever meets it.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.errors import StoreError, StoreUnfit
from rocketjob.base.log import Logger
from rocketjob_plugins.store_mongodb import trials

log = Logger("rocketjob.store")
COLLECTION = "rocket_job.deployment"
NAMES = [trial.name for trial in trials.TRIALS]
# What relatives of MongoDB say of themselves in `buildInfo`, beside the version they speak.
RELATIVES = {"ferretdb": "FerretDB", "ferretdbVersion": "FerretDB", "secantusVersion": "SecantusDB"}
# A field that each of our documents there has, and those of another program have not.
OURS = {"rocket_job.jobs": "claim_number", "rocket_job.servers": "incarnation"}
LOOKED_AT = 20
_accepted: dict[str, Judgement] = {}  # by servers: tests open many databases on one


@attrs.frozen
class Judgement:
    """What a server does not do, by the name of the trial, with the reason."""

    server: str
    lacks: Mapping[str, str]

    def has(self, ability: str) -> bool:
        return ability not in self.lacks

    def unusable(self) -> list[str]:
        """Return what is wrong with a server that cannot be used, in words."""
        needed = [trial.name for trial in trials.TRIALS if trial.otherwise is None]
        return [f"{name}: {self.lacks[name]}" for name in needed if name in self.lacks]


def judged(
    database: Any, server: str, build: str, connect: Callable[[], Any], url: str
) -> Judgement:
    """Return what is known of a server, or try it.

    Args:
        database: pymongo's.
        server: its name and version, for people.
        build: what tells it from any other.
        connect: returns a client for the trials, with connections enough.
        url: for messages.

    Raises:
        StoreError: no job can be trusted to it.
        PyMongoError: it cannot be reached now, or the user may not do what is tried.
    """
    known = _remembered(database, server, build)
    if known is None:
        refuse_foreign(database, url)
        known = _accepted.get(build) or tried(connect, database.name, server)
        if problems := known.unusable():
            raise refused(url, server, problems)
        if any(reason.startswith(trials.MAY_NOT) for reason in known.lacks.values()):
            return known  # that of another user may be another, and rights can be granted
        _remember(database, build, known)
    _accepted[build] = known
    return known


def tried(connect: Callable[[], Any], database: str, server: str) -> Judgement:
    """Try a server now, whatever is known of it."""
    from pymongo import ReadPreference

    client, began = connect(), clock.monotonic()
    tried_in = client.get_database(database, read_preference=ReadPreference.PRIMARY)
    try:
        with trials.Ground(tried_in) as ground:
            ground.connect()
            reasons = {trial.name: trial.reason(ground) for trial in trials.TRIALS}
    finally:
        client.close()
    lacks = {name: reason for name, reason in reasons.items() if reason is not None}
    seconds = round(clock.monotonic() - began, 3)
    log.debug("tried what the server does", server=server, seconds=seconds, lacks=sorted(lacks))
    return Judgement(server, lacks)


def refuse_foreign(database: Any, url: str) -> None:
    """Refuse a database in which something else keeps documents in collections of our names."""
    for name, mark in OURS.items():
        found = list(database[name].find({}, {mark: 1}).limit(LOOKED_AT))
        if found and not any(mark in document for document in found):
            raise StoreError(
                f"The collection {name} in {url} has documents of something else, such as that "
                f"with the _id {found[0]['_id']}: name a database of its own in the URL"
            )


def refused(url: str, server: str, problems: list[str]) -> StoreUnfit:
    return StoreUnfit(
        f"{url} is {server}, to which no jobs can be trusted; {'; '.join(problems)}. Use MongoDB, "
        "or a server that does this as MongoDB does"
    )


def server_name(info: Mapping[str, Any]) -> str:
    """Return what a server calls itself, by its answer to `buildInfo`."""
    for key, name in RELATIVES.items():
        if version := info.get(key):
            version = version.get("version") if isinstance(version, Mapping) else version
            return f"{name} {str(version).removeprefix('v')}"
    return f"MongoDB {info.get('version', 'of unknown version')}"


def _remembered(database: Any, server: str, build: str) -> Judgement | None:
    stored = database[COLLECTION].find_one({"_id": build})
    if stored is None or stored.get("tried") != NAMES:
        return None
    lacks = {each["name"]: each["reason"] for each in stored["lacks"]}
    return Judgement(server, lacks)


def _remember(database: Any, build: str, found: Judgement) -> None:
    lacks = [{"name": name, "reason": reason} for name, reason in found.lacks.items()]
    stored = {"server": found.server, "tried": NAMES, "lacks": lacks, "at": clock.now()}
    with contextlib.suppress(Exception):  # the next process tries again
        database[COLLECTION].replace_one({"_id": build}, stored, upsert=True)
