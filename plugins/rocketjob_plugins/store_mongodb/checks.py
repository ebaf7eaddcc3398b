"""What `rocketjob doctor` says of the server of a MongoDB store: tried anew, with the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rocketjob.base import clock
from rocketjob.base.text import span
from rocketjob.server.checks import OK, PROBLEM, WARNING, Finding, Patient
from rocketjob_plugins.store_mongodb.store import MongoStore
from rocketjob_plugins.store_mongodb.trials import TRIALS

SKEW_SECONDS = 5.0  # by which clocks may differ before anybody is to hear of it


def look(patient: Patient) -> Iterator[Finding]:
    """Try what the server does, and compare its clock with this one."""
    if isinstance(store := patient.store, MongoStore):
        yield from look_at(store)


def look_at(store: MongoStore) -> Iterator[Finding]:
    """Try what the server of one store does, and compare its clock with this one."""
    yield from _abilities(store)
    yield from _clock(store)


def _abilities(store: MongoStore) -> Iterator[Finding]:
    found = store.deployment.try_again()
    has = [trial.name for trial in TRIALS if found.has(trial.name)]
    data: dict[str, Any] = {"server": found.server, "has": has, "lacks": dict(found.lacks)}
    yield Finding("store", OK, f"{found.server} was tried: {', '.join(has)}", data=data)
    for trial in TRIALS:
        if found.has(trial.name):
            continue
        message = f"{found.server} lacks {trial.name}: {found.lacks[trial.name]}"
        if trial.otherwise is None:
            yield Finding("store", PROBLEM, message, "no job can be trusted to it: use another")
        else:
            yield Finding("store", OK, f"{message}; so {trial.otherwise}")


def _clock(store: MongoStore) -> Iterator[Finding]:
    began = clock.now()
    theirs = store.deployment.time()
    if theirs is None:
        return
    # Its answer was given at some moment in between.
    ahead = max((theirs - clock.now()).total_seconds(), 0.0)
    behind = max((began - theirs).total_seconds(), 0.0)
    if max(ahead, behind) > SKEW_SECONDS:
        way = f"{span(ahead)} ahead of" if ahead else f"{span(behind)} behind"
        yield Finding(
            "clock",
            WARNING,
            f"the clock of the database server is {way} this one",
            "synchronise the clocks (chrony, systemd-timesyncd). Jobs start by the clocks of the "
            "servers that run them; the database's own is asked for nothing",
            {"seconds": round(ahead or -behind, 3)},
        )
