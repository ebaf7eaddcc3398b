"""Why a job is not running now, and when it could.

The answer comes from what the claim itself goes by: the same clauses, evaluated against this one
job, and the same limits. Plugins add what they know with the hook `explain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from rocketjob.base import clock
from rocketjob.base.errors import HookFailed
from rocketjob.jobs import holds
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.holds import Clause
from rocketjob.jobs.job import Job
from rocketjob.jobs.reasons import Explanation, Reason, Remark, shown
from rocketjob.jobs.shown import load, problem_of
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.queue.dispatch import ORDER, Queue
from rocketjob.queue.limits import failure, limits_of
from rocketjob.queue.place import more_urgent_than
from rocketjob.server.server import Server
from rocketjob.states.state import text_of
from rocketjob.store import Store, context
from rocketjob.store.context import Plugins, unless_transient

__all__ = ["Explanation", "Reason", "Remark", "explain", "lost"]
CALL = {
    "paused": "it is paused: resume it to let it go on",
    "failed": "it has failed: retry it to run it again",
    "aborted": "it was aborted, for good",
    "completed": "it has completed",
}


def explain(job: Job) -> Explanation:
    """Explain one job, from what is stored now."""
    stored = None if job.is_new else job.collection().find_one({"_id": job.id})
    name = f"{job.class_name if isinstance(job, UnknownJob) else job.type_name()} {job.id}"
    if stored is None:
        return Explanation(name, "not stored", (Reason("stored", "no worker can see it"),))
    job = load(stored)  # whatever another program has written into it
    if job.is_running:
        return _explain_running(name, job, stored)
    if not job.is_queued:
        more = tuple(job.held_up_by())
        return Explanation(name, job.state, (Reason("state", _why(job, more)), *more))
    reasons = list(_reasons(job, stored, clock.now()))
    return Explanation(name, job.state, tuple(reasons), "nothing holds it back: a worker is next")


def _explain_running(name: str, job: Job, stored: dict[str, Any]) -> Explanation:
    """Say who is at it, what keeps others from joining, or why nobody is at it."""
    reasons = [*lost([job.claimed_by or ""]), *job.held_up_by()]
    if isinstance(job, UnknownJob) and not job.claimed_by:
        reasons = [*_servers(stored["_type"]), *reasons]
        if reasons:
            return Explanation(name, job.state, tuple(reasons))
    if not job.claimed_by and type(job).joinable is None and not isinstance(job, UnknownJob):
        text = "no worker has claimed it, as if start() was called outside one"
        reasons.append(Reason("lost", f"{text}: a server queues it again after four heartbeats"))
    is_open = type(job).joinable is not None and not job.worker_names
    if not is_open and not any(reason.name == "lost" for reason in reasons):
        note = "; ".join([f"it is running on {_workers(job)}", *map(str, reasons)])
        return Explanation(name, job.state, note=note)
    if is_open:
        servers = list(_servers(stored["_type"]))
        reasons = [*servers, *reasons, *([] if servers else _ahead(job, _queue(), clock.now()))]
    return Explanation(name, job.state, tuple(reasons), "nobody is at it: a free worker is next")


def lost(holders: Iterable[str]) -> Iterator[Reason]:
    """Name the servers, of those that hold something, whose heartbeat has stopped."""
    silent = {server.incarnation: server.name for server in Server.all() if server.seems_dead()}
    names = {silent[id] for holder in holders if (id := holder.partition(".")[0]) in silent}
    if names:
        text = f"the heartbeat of {', '.join(sorted(names))} has stopped, which was at it"
        yield Reason("lost", f"{text}: another server takes the work back when it sees that")


def _queue() -> Queue:
    app = context.current()
    queue = Queue(app.store, app.plugins, app.config, "explain", "explain")
    queue.eligible.narrowing = None  # what servers take they say themselves
    return queue


def _reasons(job: Job, stored: dict[str, Any], now: datetime) -> Iterator[Reason]:
    if (problem := problem_of(job)) and not isinstance(job, UnknownJob):
        yield Reason("document", f"it {problem}")
    app, queue = context.current(), _queue()
    clauses = queue.eligible.clauses(now)
    if job.is_expired:
        yield Reason("expires_at", f"it expired at {shown(job.expires_at)}: it will be removed")
    if _fails(job, clauses["run_at"]):
        yield Reason("run_at", "it is scheduled for later", job.run_at)
    servers = list(_servers(stored["_type"]))
    yield from servers
    if not servers:
        yield from _narrowed(job, stored["_type"])
    if "where" in clauses and _fails(job, clauses["where"]):
        yield Reason(
            "where", f"the setting `where` of this process leaves it out: {app.config.where}"
        )
    yield from _held_back(job, app.store, now)
    yield from _of_plugins(job, app.plugins, app.store)
    if not servers and not _fails(job, clauses["run_at"]):
        yield from _ahead(job, queue, now)


def _held_back(job: Job, store: Store, now: datetime) -> Iterator[Reason]:
    """Yield what holds it back: its limits, and what servers have said and stored.

    Limits are judged by what is stored, here as in a claim. Everything else only the server knows
    that has asked: nothing of it is asked again here.
    """
    names: set[str] = set()
    for reason in (*_limits(job, store, now, names), *_left_alone(job, store, now)):
        names.add(reason.name)
        yield reason
    if job.throttled_by is not None and job.throttled_by not in names:
        yield Reason(job.throttled_by, holds.said(job))
    elif not names and isinstance(job, UnknownJob):
        yield from _like_others(job)


def _limits(job: Job, store: Store, now: datetime, asked: set[str]) -> Iterator[Reason]:
    """Yield the limits that are full.

    Args:
        asked: gets the names of all, since a note on the job may be of one that has room by now.
    """
    try:
        for limit in limits_of(job):
            if limit.free(store, now) <= 0:
                yield Reason(limit.name, limit.describe(store, now), limit.free_at(store, now))
            asked.add(limit.name)
    except BaseException as error:  # whatever an app's code raises
        if store.is_transient(error):
            raise
        yield Reason("claim_limits", failure(error))


def _left_alone(job: Job, store: Store, now: datetime) -> Iterator[Reason]:
    """Yield what servers leave it alone for, with others that the same filter matches."""
    found: dict[tuple[str, str], Reason] = {}
    for held in holds.present(store, now):
        if (held.name, held.text) in found or _fails(job, held.filter):
            continue
        also = "" if held.job.endswith(f" {job.id}") else f", with {held.job}"
        text = f"held back by {held.name}{also}: {held.text} ({held.by} at {shown(held.at)})"
        found[held.name, held.text] = Reason(held.name, text, held.until)
    yield from found.values()


def _like_others(job: UnknownJob) -> Iterator[Reason]:
    """Say what the first of its class waits for, where limits cannot be asked."""
    alike = {"_type": job.class_name, "state": "queued", "throttled_by": {"$ne": None}}
    first = job.collection().find_one(alike, sort=ORDER)
    if first is not None:
        other = Job.listed(first)
        text = f"{job.class_name} {other.id} is {holds.said(other)}"
        why = "whether that holds for this one its class would say, which is not loaded here"
        yield Reason(str(other.throttled_by), f"{text}; {why} (--app MODULE)")


def _of_plugins(job: Job, plugins: Plugins, store: Store) -> Iterator[Reason]:
    """Yield what plugins know; one that fails is named, and the others are heard."""
    failures: list[HookFailed] = []
    failed = unless_transient(store, failures.append)
    for answer in reversed(plugins.answers("explain", failed, job=job)):
        yield from answer.value
    for error in failures:
        yield Reason(error.plugin, f"what it knows of is not known: {error}")


def _narrowed(job: Job, name: str) -> Iterator[Reason]:
    """Name the clauses by which every server that could take it leaves it out."""
    able = [s for s in Server.all() if name in s.classes and s.starts_jobs]
    found = {server.name: _broken(job, server) for server in able}
    if all(found.values()):
        for server, clause in found.items():
            if clause is not None:
                yield Reason(clause.name, f"{server} leaves it to others: {clause.text}")


def _broken(job: Job, server: Server) -> Clause | None:
    """Return the first clause of a server by which it leaves a job out."""
    return next((clause for clause in server.clauses if _fails(job, clause.filter)), None)


def _fails(job: Job, clause: Any) -> bool:
    return job.collection().find_one({"$and": [{"_id": job.id}, clause]}, {"_id": 1}) is None


def _servers(name: str) -> Iterator[Reason]:
    alive = [server for server in Server.all() if not server.seems_dead()]
    able = [server for server in alive if name in server.classes]
    if not alive:
        yield Reason("servers", "no server is running: start one with `rocketjob server`")
    elif not able:
        names = ", ".join(server.name for server in alive)
        text = f"no server takes {name}: its module must be named in `app` of a server, and not be "
        yield Reason("class", text + f"left out by `include` or `exclude`; running: {names}")
    elif not any(server.starts_jobs for server in able):
        names = ", ".join(f"{server.name} is {server.condition}" for server in able)
        yield Reason("servers", f"every server that takes {name} is paused or stopping: {names}")


def _ahead(job: Job, queue: Queue, now: datetime) -> Iterator[Reason]:
    """Name what a worker goes to first: due jobs, and running ones that it can join."""
    clauses = queue.eligible.clauses(now)
    due = [clauses["state"], clauses["run_at"], more_urgent_than((job.priority, job.id))]
    count = context.current().store.collection(COLLECTION).count_documents({"$and": due})
    if count:
        jobs = "1 due job goes" if count == 1 else f"{count} due jobs go"
        yield Reason("ahead", f"{jobs} before it: more urgent (priority {job.priority}), or older")
    for open_job in queue.open_jobs(now):
        if (open_job.priority, open_job.id) < (job.priority, job.id) and _has_work(open_job):
            text = f"workers join {open_job.type_name()} {open_job.id} first, which is running"
            yield Reason("joined first", f"{text} and has work for more of them")
            return


def _has_work(job: Job) -> bool:
    """Return whether one more worker can join; no worker joins a job that cannot tell."""
    try:
        return job.free_slots(1) > 0
    except Exception:
        return False


def _why(job: Job, more: tuple[Reason, ...]) -> str:
    if job.is_paused and more:
        return "it is paused"  # they say what lets it go on
    if job.is_failed and job.exception is not None:
        return f"{CALL['failed']} ({job.exception.class_name}: {job.exception.message})"
    return CALL.get(job.state) or text_of(job.state, context.current().plugins.states)


def _workers(job: Job) -> str:
    since = f" since {shown(job.started_at)}" if job.started_at else ""
    return (", ".join(job.worker_names) or "no worker") + since
