"""Reclaim what dead processes and servers held: queue it again, quarantine it, or fail it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rocketjob.base.errors import HookFailed
from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.job import Job
from rocketjob.queue.unusable import fail_claimed
from rocketjob.store import Store, Stored
from rocketjob.store.context import Failed, Plugins, unless_transient

log = Logger("rocketjob.queue")
PAGE = 500  # jobs that are read at once


def owners(store: Store, plugins: Plugins) -> set[str]:
    """Return the ids of all processes that hold a job, or a claim of a plugin's making."""
    return _owners(store, plugins, unless_transient(store, plugins.note))[0]


def holds_nothing(store: Store, plugins: Plugins, incarnation: str) -> bool:
    """Return whether no process of a server holds anything; not so where that cannot be known."""
    problems: list[HookFailed] = []

    def failed(error: HookFailed) -> None:
        plugins.note(error)
        problems.append(error)

    known, are_all_known = _owners(store, plugins, unless_transient(store, failed))
    ours = any(owner.startswith(f"{incarnation}.") for owner in known)
    return are_all_known and not problems and not ours


def _owners(store: Store, plugins: Plugins, failed: Failed) -> tuple[set[str], bool]:
    """Return who holds something, and whether the plugins could look at all that may be held."""
    of_jobs = store.collection(COLLECTION).distinct("claimed_by", {"claimed_by": {"$exists": True}})
    of_plugins = plugins.collect("claim_owners", failed)
    return {str(owner) for owner in [*of_jobs, *of_plugins] if owner}, None not in of_plugins


def requeue_claims(
    store: Store,
    plugins: Plugins,
    owner: str,
    *,
    crash_limit: int,
    crashed: Mapping[str, str] | None = None,
    reason: str = "its server died",
    unexplained: bool = False,
    on_loop: Callable[[type[Job]], bool] = lambda job_class: False,
) -> dict[str, int]:
    """Reclaim all jobs that a dead process or server held; plugins do so for claims of their own.

    Each is one guarded write, so that several servers may do it at once.

    Args:
        crashed: ids of the jobs that were being performed when the worker crashed, and how it
            ended: these count as crashes, the others do not.
        unexplained: any of the jobs may have ended the whole server. Each is quarantined, to be
            performed alone; for one that was in quarantine already it counts as a crash.
        on_loop: whether jobs of a class are performed on an event loop, hundreds at once. If others
            crashed with it, one such job is suspected only: it is tried again in a group.

    Returns:
        how many were `requeued` and how many `failed`, because their workers crashed too often.
    """
    counts = {"requeued": 0, "failed": 0}
    for stored in _held_by(store, owner):
        how = (crashed or {}).get(str(stored["_id"]))
        if how is not None and len(crashed or ()) > 1 and _is_of(stored, on_loop):
            _suspect(store, stored)
            how = None
        elif unexplained and how is None:
            how = _quarantine(store, stored, reason)
        outcome = _reclaim(store, stored, how, reason, crash_limit)
        if outcome:
            counts[outcome] += 1
    for answer in plugins.answers(
        "reclaim",
        unless_transient(store, plugins.note),
        owner=owner,
        crashed=crashed or {},
        crash_limit=crash_limit,
        unexplained=reason if unexplained else None,
    ):
        counts["requeued"] += answer.value
    return counts


def _quarantine(store: Store, stored: Stored, reason: str) -> str | None:
    """Note that a claimed job may have ended its server; return how, if it was the only one."""
    claim = claims.claim_in(stored)
    if claims.was_quarantined(claim, stored.get(claims.QUARANTINED)):
        return reason
    store.write_many(COLLECTION, [claims.quarantine(stored["_id"], claim)])
    return None


def _suspect(store: Store, stored: Stored) -> None:
    """Note that a claimed job was one of many that were performed when their worker crashed."""
    claim, since = claims.claim_in(stored), stored.get(claims.QUARANTINED)
    store.write_many(COLLECTION, [claims.suspect(stored["_id"], claim, since)])


def _is_of(stored: dict[str, Any], which: Callable[[type[Job]], bool]) -> bool:
    try:
        return which(type(Job.from_document(stored)))
    except Exception:
        return False  # it cannot be loaded: whoever reclaims it says so


def _held_by(store: Store, owner: str) -> Iterator[dict[str, Any]]:
    """Return the documents of the jobs that a process or server holds, each once."""
    tried: set[Any] = set()
    while True:
        page = store.collection(COLLECTION).find(claims.held_by(owner), limit=PAGE)
        untried = [stored for stored in page if stored["_id"] not in tried]
        if not untried:
            return
        tried.update(stored["_id"] for stored in untried)
        yield from untried


def _reclaim(
    store: Store, stored: dict[str, Any], crashed: str | None, reason: str, crash_limit: int
) -> str | None:
    try:
        if store.recover(COLLECTION, {"_id": stored["_id"]}):  # first: it may be gone after
            stored = store.collection(COLLECTION).find_one({"_id": stored["_id"]}) or stored
        job = Job.from_document(stored)
        claims.hold(job, claims.claim_in(stored))
        return job.recover(crashed, reason, crash_limit)
    except Exception as error:
        if store.is_transient(error):
            raise
        # One job that cannot be loaded, or whose callbacks raise, must not keep the others waiting.
        log.exception("a job cannot be reclaimed as it should be", job_id=str(stored["_id"]))
        return "failed" if fail_claimed(store, stored, error) else None
