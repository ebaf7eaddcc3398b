"""Reclaim the work of servers that died. Every server does it; there is no leader.

Servers do not compare clocks. Each watches whether the number in the others' heartbeats grows, by
its own monotonic clock; a wall clock that jumps takes no work away from anybody. Of a server of the
same machine it is seen at once that all its processes have ended.

A server's own worker processes that die are reclaimed by `process_tree`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

from rocketjob.base import acts, clock
from rocketjob.base.config import Config
from rocketjob.base.errors import StoreUnavailable
from rocketjob.base.log import Logger
from rocketjob.jobs.claims import COLLECTION, UNCLAIMED
from rocketjob.jobs.job import Job
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model import deeds
from rocketjob.queue.reclaim import owners, requeue_claims
from rocketjob.server.ended import has_ended
from rocketjob.server.server import MISSED_BEATS, Server
from rocketjob.store import Also, Insert, Store, Unit, Write
from rocketjob.store.context import Context
from rocketjob.worker.steps import runs_on_loop

log = Logger("rocketjob.recovery")
AHEAD = timedelta(seconds=2)  # two machines' clocks may differ so much
Tell = Callable[..., None]
NOTHING = {"requeued": 0, "failed": 0}
UNHELD = "it was running and nobody held it"


def sweep_seconds(config: Config) -> float:
    """Return the seconds between two sweeps of a server."""
    return min(5.0, config.heartbeat_seconds / 4)


class Recovery:
    """What one server has seen of the others.

    Args:
        incarnation: the server's own; its own processes are its supervisor's business.
        tell: tells the plugins of something, instead of calling them at once.
    """

    def __init__(self, application: Context, incarnation: str, tell: Tell | None = None) -> None:
        self.store, self.plugins = application.store, application.plugins
        self._tell = tell or application.plugins.notify
        self.stores = application.stores
        self.config, self.incarnation = application.config, incarnation
        self.interval = sweep_seconds(self.config)
        self._seen: dict[Any, tuple[int, float]] = {}  # beat number, since when
        self._looked_at = clock.monotonic()
        self._unheld: dict[Any, float] = {}  # running jobs that nobody has claimed, since when

    def sweep(self, living_processes: set[str]) -> dict[str, int]:
        """Look once: bury dead servers and queue what belongs to no living one.

        Returns:
            how many jobs were `requeued` and how many `failed`.
        """
        # The holders before the servers: who claims is registered already.
        holders = owners(self.store, self.plugins)
        servers = list(Server.collection().find({}))
        reclaimed = self._bury_dead(servers)
        living = {server.get("incarnation") for server in servers if server["_id"] in self._seen}
        for holder in holders:
            incarnation, dot, _ = holder.partition(".")
            if not dot or incarnation in living:
                continue
            if incarnation == self.incarnation and holder in living_processes:
                continue
            reclaimed.append(_or_later(self._reclaim, holder))
        reclaimed.append(self._reclaim_unheld())
        for store in self.stores():
            store.recover()
        return {name: sum(server[name] for server in reclaimed) for name in NOTHING}

    @property
    def is_watching(self) -> bool:
        """Whether it has to go on looking, though nothing is written: to see that nothing is."""
        return bool(self._unheld)

    def watch_others(self) -> bool:
        """See whether the servers that are known still live; return whether one was found dead.

        To be called instead of `sweep` as long as nothing is written: a new server is.
        """
        dead = self._bury_dead(list(Server.collection().find({}))) if self._seen else []
        self._looked_at = clock.monotonic()
        return bool(dead)

    def _bury_dead(self, servers: list[dict[str, Any]]) -> list[dict[str, int]]:
        return [_or_later(self.bury, server) for server in self._dead(servers)]

    def forget(self) -> None:
        """Start watching all servers again: for a while nothing could be learnt about them."""
        self._seen.clear()
        self._unheld.clear()

    def bury(self, server: dict[str, Any]) -> dict[str, int]:
        """Reclaim what the processes of a dead server held, then remove its document.

        In this order, since the document alone tells what was being performed: if this process dies
        too, the next one finds it. Several may be at it at once: each job is reclaimed by one
        guarded write.
        """
        if Server.collection().find_one(_silent(server), {"_id": 1}) is None:
            return NOTHING  # it has beaten this moment, or another server was first
        incarnation = str(server.get("incarnation"))
        reclaimed = self._reclaim(incarnation, _performed_by(server), True)
        self._remove(server)
        return reclaimed

    def _dead(self, servers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the servers whose heartbeat stopped, or whose processes are seen to have ended."""
        now = clock.monotonic()
        if now - self._looked_at > 3 * self.interval + 1:
            self.forget()  # we were away ourselves: nobody was being watched
        self._looked_at = now
        present = {server["_id"] for server in servers}
        self._seen = {id: seen for id, seen in self._seen.items() if id in present}
        others = [server for server in servers if server.get("incarnation") != self.incarnation]
        return [server for server in others if self._is_dead(server, now)]

    def _is_dead(self, server: dict[str, Any], now: float) -> bool:
        if has_ended(Server.listed(server)):
            return True
        number = _beat_of(server).get("number", 0)
        seen = self._seen.get(server["_id"])
        if seen is None or seen[0] != number:
            self._seen[server["_id"]] = (number, now)
            return False
        # Less two looks: it may have been silent for so long before it was first seen silent, and
        # the end of the time is seen only at the next look.
        seconds = server.get("heartbeat_seconds", 15.0)
        seconds = seconds if isinstance(seconds, int | float) else 15.0
        limit = MISSED_BEATS * seconds - 2 * self.interval
        return bool(now - seen[1] >= limit)

    def _remove(self, server: dict[str, Any]) -> None:
        write = Write(_silent(server), None)
        removal = Unit.of(Server.collection_name, write, _record_of(server))
        if self.store.commit([removal])[0].held:
            self._seen.pop(server["_id"], None)
            lost = Server.listed(server)
            why = "its processes have ended" if lost.is_gone() else "its heartbeat stopped"
            log.error(f"a server died: {why}", name=server.get("name"))
            if self.plugins.listens("server_lost"):
                self._tell("server_lost", server=lost)

    def _reclaim(
        self, holder: str, crashed: dict[str, str] | None = None, unexplained: bool = False
    ) -> dict[str, int]:
        reclaimed = requeue_claims(
            self.store,
            self.plugins,
            holder,
            crash_limit=self.config.crash_limit,
            crashed=crashed,
            unexplained=unexplained,
            on_loop=runs_on_loop,
        )
        if any(reclaimed.values()):
            log.warning("work reclaimed", holder=holder, **reclaimed)
        return reclaimed

    def _reclaim_unheld(self) -> dict[str, int]:
        """Queue running jobs that nobody has held for as long as a server may be silent."""
        now, before = clock.monotonic(), self._unheld
        jobs = {(job.id, job.claim_number, job.started_at): job for job in unheld(self.store)}
        self._unheld = {key: before.get(key, now) for key in jobs}
        limit = MISSED_BEATS * self.config.heartbeat_seconds
        reclaimed = dict(NOTHING)
        for key in [key for key, since in self._unheld.items() if now - since >= limit]:
            if outcome := self._reclaim_one(jobs[key]):
                reclaimed[outcome] += 1
        return reclaimed

    def _reclaim_one(self, job: Job) -> str | None:
        """Queue a job that nobody holds; where that fails, the others must not wait for it."""
        try:
            outcome = job.recover(None, UNHELD, self.config.crash_limit)
        except Exception as error:
            if self.store.is_transient(error):
                raise
            job.logger.exception("a job cannot be reclaimed as it should be")
            return None
        if outcome is not None:
            job.logger.warning(f"reclaimed: {UNHELD}")
        return outcome

    def plan_again(self) -> None:
        """Have jobs planned again that were planned by a clock that was ahead, and is right now."""
        now = clock.now()
        later = {"state": "queued", "run_at": {"$gt": now}, "created_at": {"$gt": now + AHEAD}}
        for stored in self.store.collection(COLLECTION).find(later):
            try:
                job = Job.from_document(stored)
                if job.plan_again():
                    job.logger.warning("the clock was ahead: planned again", run_at=job.run_at)
            except Exception as error:
                if self.store.is_transient(error):
                    raise
                log.exception("a job cannot be planned again", job_id=str(stored["_id"]))


def _or_later(step: Callable[[Any], dict[str, int]], whose: Any) -> dict[str, int]:
    """Take a step whose claims may be in another store; where that is away, another sweep does."""
    try:
        return step(whose)
    except StoreUnavailable as error:
        log.warning("what a dead server held cannot be reclaimed yet", error=str(error))
        return NOTHING


def _record_of(server: dict[str, Any]) -> Sequence[Insert | Also]:
    """Return what is stored with the removal of a dead server, if it is a person who removes it."""
    if not acts.begun:
        return ()
    return deeds.beside(Server.listed(server), "destroy", server, {})


def _silent(server: dict[str, Any]) -> dict[str, Any]:
    """Return the filter of a server's document that finds it only if it has not beaten since."""
    number = _beat_of(server).get("number")  # None also finds that it has none
    return {"_id": server["_id"], "heartbeat.number": number}


def _performed_by(server: dict[str, Any]) -> dict[str, str]:
    ids = _beat_of(server).get("performing", ())
    known = [id for id in ids if isinstance(id, str)] if isinstance(ids, list) else []
    return dict.fromkeys(known, f"its server {server.get('name')} died")


def _beat_of(server: dict[str, Any]) -> dict[str, Any]:
    """Return the last heartbeat; none where something else has written another thing there."""
    beat = server.get("heartbeat")
    return beat if isinstance(beat, dict) else {}


def unserved(store: Store, loaded: Collection[str] = ()) -> dict[str, int]:
    """Count the jobs, by class, that neither `loaded` nor a living server can run.

    Those are queued, or running with nobody at them, as a batch job that workers join.
    """
    known = {*loaded}
    for server in Server.all():
        if not server.seems_dead():
            known.update(server.classes)
    wait = {"$or": [{"state": "queued"}, UNCLAIMED]}
    waiting = store.count_by(COLLECTION, "_type", wait)
    return {str(name): count for name, count in waiting.items() if name not in known}


def unheld(store: Store) -> Iterator[Job]:
    """Yield the running jobs that nobody has claimed, and that no worker can join.

    So is one that was started where no worker is, as by `job.start()` in a program. Of a class that
    is not loaded here it cannot be told: see `unserved`.
    """
    jobs = store.collection(COLLECTION)
    for stored in jobs.find(UNCLAIMED):
        try:
            job = Job.from_document(stored)
        except Exception:
            log.exception("a running job cannot be loaded", job_id=str(stored["_id"]))
            continue
        if not isinstance(job, UnknownJob) and not can_be_joined(job):
            yield job


def can_be_joined(job: Job) -> bool:
    """Return whether workers may join a running job now, as it is stored."""
    joinable = type(job).joinable
    if joinable is None:
        return False
    return job.collection().find_one({"$and": [{"_id": job.id}, joinable]}, {"_id": 1}) is not None
