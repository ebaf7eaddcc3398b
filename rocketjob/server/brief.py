"""Why each of some queued jobs waits, in short: for lists, which ask for many at once.

`explain` says all there is to say of one job, and asks the store a dozen times. Here the first
reason of each is found from what is read once for all: servers, and what these have said. A few
limits are asked, each once; of the others the job says what a claim has noted on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import HookFailed, UnsupportedOperation
from rocketjob.base.text import counted
from rocketjob.jobs import holds
from rocketjob.jobs.job import Job
from rocketjob.jobs.limit import Limit
from rocketjob.jobs.reasons import Reason
from rocketjob.jobs.shown import load, problem_of
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.queue.limits import failure, limits_of
from rocketjob.server.server import Server
from rocketjob.store import Filter, Stored, context
from rocketjob.store.context import unless_transient
from rocketjob.store.documents.matcher import compile_match
from rocketjob.store.documents.values import normalise

MOST_LIMITS = 2  # that are asked for one list

Matches = Callable[[Stored], bool]


def first_reasons(documents: Iterable[Stored], servers: Sequence[Server]) -> dict[Any, Reason]:
    """Return the first reason why each of some queued jobs waits, by their ids.

    Where nothing holds a job back it is without a reason: it is next, or others go before it.
    It takes one call of the store, and one for each of a few limits.

    Args:
        documents: all that is stored of the jobs.
        servers: all that are registered.
    """
    onlooker = _Onlooker(servers)
    found = {stored["_id"]: onlooker.reason(stored) for stored in documents}
    return {id: reason for id, reason in found.items() if reason is not None}


def who_is_free(servers: Iterable[Server], type_name: str) -> str:
    """Say of workers whether one is free for a job of a class that nothing holds back."""
    able = [server for server in servers if server.starts_jobs]
    if any(server.has_room_for(type_name) for server in able):
        return "a worker takes it in a moment"
    workers = sum(server.workers_for(type_name) for server in able)
    return f"all {counted(workers, 'worker')} are busy" if workers > 1 else "the worker is busy"


class _Onlooker:
    def __init__(self, servers: Sequence[Server]) -> None:
        app = context.current()
        self._now, self._store, self._plugins = clock.now(), app.store, app.plugins
        self._alive = [server for server in servers if not server.seems_dead()]
        present = holds.present(app.store, self._now)
        self._held = [(held, _matcher(held.filter, False)) for held in present]
        self._taken = {server.name: self._clauses(server) for server in self._alive}
        self._full: dict[Any, bool] = {}
        self._has_room: set[str] = set()  # limits of the job at hand: what it notes of them is old

    def _clauses(self, server: Server) -> list[tuple[str, str, Matches]]:
        """Return by what a server narrows what it takes: name, text, and what it lets through."""
        found = [(c.name, c.text, _matcher(c.filter, True)) for c in server.clauses]
        if server.narrowed_by:
            found.append(
                ("where", "its setting `where` leaves it out", _matcher(server.taken(), True))
            )
        return found

    def reason(self, stored: Stored) -> Reason | None:
        """Return the first reason why a job waits."""
        job = load(stored)
        checks: tuple[Callable[[Job, Stored], Reason | None], ...] = (
            self._of_document,
            self._of_time,
            self._of_servers,
            self._left_out,
            self._of_holds,
            self._of_limits,
            self._noted,
            self._of_plugins,
        )
        return next((found for check in checks if (found := check(job, stored))), None)

    def _of_document(self, job: Job, stored: Stored) -> Reason | None:
        problem = None if isinstance(job, UnknownJob) else problem_of(job)
        return Reason("document", f"it {problem}") if problem else None

    def _of_time(self, job: Job, stored: Stored) -> Reason | None:
        if job.is_expired:
            return Reason("expires_at", "it has expired, and will be removed")
        return Reason("run_at", "it is scheduled", job.run_at) if job.is_scheduled else None

    def _of_servers(self, job: Job, stored: Stored) -> Reason | None:
        name = str(stored.get("_type"))
        able = [server for server in self._alive if name in server.classes]
        if not self._alive:
            return Reason("servers", "no server is running")
        if not able:
            return Reason("class", f"no server has the class {name}")
        if any(server.starts_jobs for server in able):
            return None
        names = ", ".join(f"{server.name} is {server.condition}" for server in able)
        return Reason("servers", names)

    def _left_out(self, job: Job, stored: Stored) -> Reason | None:
        """Return by what every server that could take a job leaves it to others."""
        name = str(stored.get("_type"))
        able = [s for s in self._alive if name in s.classes and s.starts_jobs]
        broken = None
        for server in able:
            clauses = self._taken[server.name]
            broken = next(((n, t) for n, t, lets in clauses if not lets(stored)), None)
            if broken is None:
                return None
            broken = (broken[0], f"{server.name}: {broken[1]}")
        return Reason(*broken) if broken else None

    def _of_holds(self, job: Job, stored: Stored) -> Reason | None:
        for held, matches in self._held:
            if matches(stored):
                return Reason(held.name, held.text, held.until)
        return None

    def _of_limits(self, job: Job, stored: Stored) -> Reason | None:
        self._has_room.clear()
        try:
            for limit in limits_of(job):
                is_full = self._is_full(limit)
                if is_full:
                    return Reason(limit.name, limit.rule())
                if is_full is False:
                    self._has_room.add(limit.name)
        except BaseException as error:  # whatever an app's code raises
            if self._store.is_transient(error):
                raise
            return Reason("claim_limits", failure(error))
        return None

    def _is_full(self, limit: Limit) -> bool | None:
        """Return whether a limit is full; None if it is not asked."""
        key = (type(limit), limit.key, limit.maximum)
        if key not in self._full and len(self._full) < MOST_LIMITS:
            self._full[key] = limit.free(self._store, self._now) <= 0
        return self._full.get(key)

    def _noted(self, job: Job, stored: Stored) -> Reason | None:
        if job.throttled_by is None or job.throttled_by in self._has_room:
            return None
        return Reason(job.throttled_by, job.throttled_text or job.throttled_by)

    def _of_plugins(self, job: Job, stored: Stored) -> Reason | None:
        failures: list[HookFailed] = []
        failed = unless_transient(self._store, failures.append)
        answers = reversed(self._plugins.answers("explain", failed, job=job))
        reasons: Iterator[Reason] = (reason for answer in answers for reason in answer.value)
        return next(reasons, None)


def _matcher(filter: Filter, otherwise: bool) -> Matches:
    """Return what tells whether a filter matches a stored job.

    Args:
        otherwise: said of one that only a store can judge.
    """
    try:
        matches: Matches = compile_match(normalise(filter))
    except UnsupportedOperation:
        return lambda stored: otherwise
    return matches
