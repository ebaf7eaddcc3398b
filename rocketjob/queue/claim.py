"""Pick the next jobs, claim them, fence them, and give them back.

A claim is one atomic step: the most urgent jobs that are due and of a class loaded here become
running, under the claimer's name and with a claim number that grows. Every later write of the
worker is conditional on both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError
from rocketjob.base.log import Logger
from rocketjob.jobs import claims
from rocketjob.jobs.claims import COLLECTION, claim_of
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.fit import check_fits
from rocketjob.jobs.job import Job
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model.record import record_of
from rocketjob.model.registry import classes_made, loaded_classes
from rocketjob.queue.limits import STEP, Blocked, ClaimRefused, LimitedClaim, Seen, limits_of
from rocketjob.store import Filter, Store, Update, Write
from rocketjob.store.context import Plugins

log = Logger("rocketjob.queue")
ORDER = [("priority", 1), ("_id", 1)]  # the most urgent first, then the oldest
MOST_OPEN = 200  # running jobs that a claim looks at for parts to join
HELD_ALONE = 20  # jobs of a class whose limits fail: of more, the whole class is held back
REST = 4  # after a long look past jobs that wait, leave their head alone for so many times as long


@attrs.define(eq=False)
class Queue:
    """The queue as one claimer sees it.

    Args:
        claimed_by: the claimer's id, unique to one start of one process.
        worker_name: stored on the jobs that it claims.
        config: its `include`, `exclude` and `where` narrow what is claimed.
        suspects: claim only jobs whose worker has crashed before, or only the others; None: all.
    """

    store: Store
    plugins: Plugins
    config: Config
    claimed_by: str
    worker_name: str
    suspects: bool | None = None
    _seen_classes: int = -1
    _names: list[str] = attrs.field(factory=list)
    _limited: bool = False
    _joinable: list[Filter] = attrs.field(factory=list)
    _cleared: list[str] = attrs.field(factory=list)
    _where: Filter | None = None
    _held_back: dict[str, tuple[float, Filter]] = attrs.field(factory=dict)
    _said: set[tuple[str, str]] = attrs.field(factory=set)
    _seen: Seen = attrs.field(factory=Seen)
    _spent: float = 0.0  # seconds of the look that `_seen` is of
    _looks_again_at: float = inf
    _patient_until: float = inf

    # --- claiming ----------------------------------------------------------------------------

    def claim(self, limit: int, places: int | None = None, patience: float = inf) -> list[Job]:
        """Claim up to `limit` jobs, the most urgent first; expired ones are removed instead.

        Running jobs that more workers can join are among them, once for each worker.

        Args:
            places: how many workers can join a running job; `limit`, if not given.
            patience: seconds to look past jobs that wait for limits; where they were too few the
                next call goes on: see `sees_on`.
        """
        places = limit if places is None else places
        self._patient_until = clock.elapsed() + patience
        now = clock.now()
        self._look_at_classes()
        jobs: list[Job] = []
        for open_job in self.open_jobs(now):
            if len(jobs) >= limit:
                return jobs
            jobs += self._claim_queued(limit - len(jobs), now, more_urgent_than(open_job))
            joined = self._join(open_job, min(places, limit - len(jobs)))
            places -= len(joined)
            jobs += joined
        return jobs + self._claim_queued(limit - len(jobs), now)

    def _claim_queued(self, limit: int, now: datetime, narrower: Filter | None = None) -> list[Job]:
        if limit <= 0:
            return []
        filter = self.filter(now)
        if narrower:
            filter = {"$and": [*filter["$and"], narrower]}
        while True:
            found = self._claim_some(filter, limit, now)
            jobs = [job for stored in found if (job := self._take(stored)) is not None]
            if jobs or not found:
                return jobs
            # All of them had expired: that says nothing of those behind them.

    def _claim_some(self, filter: Filter, limit: int, now: datetime) -> list[dict[str, Any]]:
        try:
            return self._claim_together(filter, limit, now)
        except ClaimRefused as refused:
            return self._claim_singly(filter, refused.ids, refused.error, now)
        except Exception as error:
            if self.store.is_transient(error):
                raise
            jobs = self.store.collection(COLLECTION)
            found = jobs.find(filter, {"_id": 1}, sort=ORDER, limit=limit)
            return self._claim_singly(filter, [each["_id"] for each in found], error, now)

    def _claim_singly(
        self, filter: Filter, ids: Sequence[Any], error: Exception, now: datetime
    ) -> list[dict[str, Any]]:
        """Claim jobs one by one: the store refuses to change one of them, and others must not wait.

        Raises:
            Exception: the store refuses more than that.
        """
        claimed: list[dict[str, Any]] = []
        for id in ids:
            try:
                claimed += self._claim_together({"$and": [filter, {"_id": id}]}, 1, now)
            except Exception as refused:
                if self.store.is_transient(refused):
                    raise
                error = refused.error if isinstance(refused, ClaimRefused) else refused
                log.error("a job cannot be claimed", job_id=str(id), error=message_of(error))
                if not _fail_unclaimed(self.store, id, error):
                    raise error from None
        return claimed

    def _claim_together(self, filter: Filter, limit: int, now: datetime) -> list[dict[str, Any]]:
        update = claims.claim_update(self.claimed_by, self.worker_name, now, self._cleared)
        if self._limited:
            return self._claim_limited(filter, update, limit, now)
        return self.store.claim_many(COLLECTION, filter, update, sort=ORDER, limit=limit)

    # --- past jobs that wait for limits ------------------------------------------------------

    def _claim_limited(
        self, filter: Filter, update: Update, limit: int, now: datetime
    ) -> list[dict[str, Any]]:
        began = clock.elapsed()
        if began >= self._looks_again_at:
            self._seen, self._spent, self._looks_again_at = Seen(), 0.0, inf
        claim = LimitedClaim(
            self.store,
            filter,
            update,
            ORDER,
            now,
            Job.from_document,
            self._limits_fail,
            attrs.evolve(self._seen, at_end=False),
        )
        found = claim.run(limit)
        while not found and not claim.seen.at_end and clock.elapsed() < self._patient_until:
            found = claim.run(limit)
        if claim.seen.passed >= STEP:
            self._note_seen(claim.seen, bool(found), clock.elapsed() - began)
        return found

    def _note_seen(self, seen: Seen, found: bool, took: float) -> None:
        """Remember how far it has looked past jobs that wait, so as not to do it at each claim.

        Meanwhile a place that becomes free among them is not seen: for a few times as long as the
        look took.
        """
        self._seen, self._spent = seen, self._spent + took
        if self._looks_again_at == inf and (found or seen.at_end):
            self._looks_again_at = clock.elapsed() + REST * self._spent

    @property
    def sees_on(self) -> bool:
        """Whether the last claim has not seen all that waits, so that the next goes on there."""
        return self._seen.last is not None and not self._seen.at_end

    @property
    def looks_again_in(self) -> float:
        """Seconds until a claim looks again at the head of those that wait, if it does not now."""
        return max(0.0, self._looks_again_at - clock.elapsed())

    def _limits_fail(self, job: Job, error: BaseException) -> None:
        """Hold back a job whose limits cannot be asked; the log says so once for its class."""
        name = type(job).type_name()
        alone = sum(each.startswith(f"limits of {name}:") for each in list(self._held_back))
        filter = {"_id": job.id} if alone < HELD_ALONE else {"_type": name}
        self.hold_back(f"limits of {name}", filter)
        if (name, type(error).__name__) not in self._said:
            self._said.add((name, type(error).__name__))
            said = f"{type(error).__name__}: {message_of(error)}"
            job.logger.exception("held back: its limits fail", error=said)

    def _take(self, stored: dict[str, Any]) -> Job | None:
        """Return a job that was claimed; None for one that has expired, or cannot be loaded."""
        try:
            job = self.load(stored)
            if self._discard_expired(job):
                return None
            check_fits(job)
            return job
        except Exception as error:
            log.exception("a job that was claimed cannot be started", job_id=str(stored["_id"]))
            _fail_stored(self.store, stored, error)
            return None

    def open_jobs(self, now: datetime) -> list[Job]:
        """Return the running jobs that more workers can join, the most urgent first."""
        self._look_at_classes()
        if not self._joinable:
            return []
        clauses = {**self.clauses(now), "state": self._joinable[0]}
        if len(self._joinable) > 1:
            clauses["state"] = {"$or": self._joinable}
        clauses.pop("crashes", None)  # that is asked of the job's parts, by `free_slots`
        # Sorted here: asked for in order, the store would walk all that run to find these few.
        found = list(self.store.collection(COLLECTION).find({"$and": list(clauses.values())}))
        found.sort(key=lambda stored: (stored["priority"], stored["_id"]))
        return [job for each in found[:MOST_OPEN] if (job := _loaded(each)) is not None]

    def _join(self, job: Job, places: int) -> list[Job]:
        """Return the job once for each worker that is to join it; nothing is written."""
        try:
            count = job.free_slots(places, self.suspects) if places > 0 else 0
        except Exception as error:
            self._leave_open(job, error)
            return []
        return [
            job,
            *(Job.from_document(dict(record_of(job).stored or {})) for _ in range(count - 1)),
        ][: max(0, count)]

    def _leave_open(self, job: Job, error: Exception) -> None:
        """Hold back a running job that cannot be joined, so that the others can be claimed.

        Raises:
            Exception: this store cannot be reached either.
        """
        seconds, its = inf, {"_id": {"$in": [job.id]}}
        if self.store.is_transient(error):  # its parts may be in another store, which is away
            self.store.collection(COLLECTION).find_one({"_id": job.id}, {"_id": 1})
            seconds = self.config.max_poll_seconds
        log.exception("a running job cannot be joined", job_id=str(job.id))
        self.hold_back("cannot be joined", its, seconds)

    def more_urgent(self, job: Job) -> bool:
        """Tell whether a job that should go before this one waits."""
        narrower = {"priority": {"$lt": job.priority}}
        filter = {"$and": [*self.clauses(clock.now()).values(), narrower]}
        return self.store.collection(COLLECTION).find_one(filter, {"_id": 1}) is not None

    def hold_back(self, name: str, filter: Filter, seconds: float = inf) -> None:
        """Leave jobs alone until the next re-check: something that is no limit holds them back.

        Args:
            seconds: less than until the re-check.
        """
        until = clock.elapsed() + min(seconds, self.config.re_check_seconds)
        self._held_back[f"{name}: {filter!r}"] = (until, filter)

    def _held(self) -> list[Filter]:
        now, blocked = clock.elapsed(), Blocked()
        for name, (until, filter) in dict(self._held_back).items():  # workers add to it meanwhile
            if until <= now:
                self._held_back.pop(name, None)
            else:
                blocked.add(filter)
        return blocked.filters()

    def load(self, stored: dict[str, Any]) -> Job:
        """Return a job that this claimer has claimed, to be written under that claim."""
        job = Job.from_document(stored)
        claims.hold(job, claims.claim_in(stored, clock.monotonic()))
        return job

    def _discard_expired(self, job: Job) -> bool:
        if not job.is_expired:
            return False
        job.logger.info("expired: removed", expires_at=job.expires_at)
        job.destroy()
        return True

    def filter(self, now: datetime) -> dict[str, Any]:
        """Return the filter of the jobs that this claimer may start at this time."""
        return {"$and": list(self.clauses(now).values())}

    def clauses(self, now: datetime) -> dict[str, Filter]:
        """Return the filter's parts by name, so that it can be said which one holds a job back."""
        found: dict[str, Filter] = {
            "state": {"state": "queued"},
            "run_at": {"$or": [{"run_at": None}, {"run_at": {"$lte": now}}]},
            "class": {"_type": {"$in": self.class_names()}},
        }
        if self._where:
            found["where"] = self._where
        held = self._held()
        if held:
            found["held back"] = {"$nor": held}
        if self.suspects is not None:
            found["crashes"] = (
                {"$or": [{"interruptions": {"$gt": 0}}, {claims.SUSPECTED: {"$gt": 0}}]}
                if self.suspects
                else {"interruptions": {"$in": [0, None]}, claims.SUSPECTED: None}
            )
        return found

    def class_names(self) -> list[str]:
        """Name the job classes that are loaded here and that this server takes."""
        self._look_at_classes()
        return self._names

    def _look_at_classes(self) -> None:
        """Note what the loaded classes ask of a claim; again only when a class was made."""
        if self._seen_classes == classes_made():
            return
        self._seen_classes = classes_made()
        classes = [cls for cls in loaded_classes(Job) if takes(self.config, cls)]
        self._names = [cls.type_name() for cls in classes]
        self._limited = any(cls.claim_limits is not Job.claim_limits for cls in classes)
        self._joinable = []
        for cls in classes:
            if cls.joinable is not None and cls.joinable not in self._joinable:
                self._joinable.append(cls.joinable)
        self._cleared = sorted({name for cls in classes for name in cls.cleared_by_claim})
        self._where = job_filter(self.config)

    def is_waiting(self) -> bool:
        """Tell whether a job waits that this claimer may start now.

        Raises:
            StoreError: the store does not understand the filter `where`.
        """
        found = self.store.collection(COLLECTION).find_one(self.filter(clock.now()), {"_id": 1})
        return found is not None

    def could_start(self) -> bool:
        """Tell whether one of the first jobs that wait would start now, its limits asked too."""
        now = clock.now()
        jobs = self.store.collection(COLLECTION)
        return any(
            self._has_places(stored, now)
            for stored in jobs.find(self.filter(now), sort=ORDER, limit=MOST_OPEN)
        )

    def _has_places(self, stored: dict[str, Any], now: datetime) -> bool:
        try:
            job = Job.from_document(stored)
        except Exception:
            return True  # whoever claims it says so, and fails it
        try:
            return all(limit.free(self.store, now) > 0 for limit in limits_of(job))
        except BaseException as error:  # whatever an app's code raises
            if self.store.is_transient(error):
                raise
            return False

    def next_due(self, now: datetime) -> datetime | None:
        """Return when the next scheduled job becomes due; None if there is none."""
        stored = self.store.collection(COLLECTION).find_one(
            {"state": "queued", "run_at": {"$gt": now}}, {"run_at": 1}, sort=[("run_at", 1)]
        )
        return None if stored is None else stored["run_at"]

    # --- giving back -------------------------------------------------------------------------

    def give_back(
        self,
        jobs: Sequence[Job],
        note: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> None:
        """Queue jobs again that were claimed and not started, with a note of why they wait.

        One that was only to be joined was not claimed, and is nobody's to give back.
        """
        claimed = [record_of(job).stored or {} for job in jobs if claim_of(job) is not None]
        writes = [claims.give_back(stored, note, reason) for stored in claimed]
        if writes:
            self.store.write_many(COLLECTION, writes)


def _loaded(stored: dict[str, Any]) -> Job | None:
    """Return a running job; None if its document cannot be read: it must not stop the others."""
    try:
        return Job.from_document(stored)
    except Exception:
        log.exception("a running job cannot be loaded", job_id=str(stored["_id"]))
        return None


def more_urgent_than(job: Job) -> Filter:
    """Return the filter of the jobs that are taken before this one."""
    older = {"priority": job.priority, "_id": {"$lt": job.id}}
    return {"$or": [{"priority": {"$lt": job.priority}}, older]}


def job_filter(config: Config) -> Filter | None:
    """Return the filter of the setting `where`, its texts parsed by the types of the fields.

    Raises:
        ConfigurationError: a text cannot be a value of its field.
    """
    try:
        return Job.where(config.where).filter() if config.where else None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"where = {config.where!r}: {error}") from None


def takes(config: Config, cls: type[Job]) -> bool:
    """Tell whether a server with these settings runs jobs of this class."""
    if cls in (Job, UnknownJob) or not cls.runnable_on(config):
        return False
    if config.include and not re.search(config.include, cls.__name__, re.IGNORECASE):
        return False
    return not (config.exclude and re.search(config.exclude, cls.__name__, re.IGNORECASE))


def owners(store: Store, plugins: Plugins) -> set[str]:
    """Return the ids of all processes that hold a job, or a claim of a plugin's making."""
    found = store.collection(COLLECTION).distinct("claimed_by", {"claimed_by": {"$exists": True}})
    held = [owner for owners in plugins.hook.claim_owners() for owner in owners]
    return {str(owner) for owner in [*found, *held] if owner}


def requeue_claims(
    store: Store,
    plugins: Plugins,
    owner: str,
    *,
    crash_limit: int,
    crashed: Mapping[str, str] | None = None,
    reason: str = "its server died",
    unexplained: bool = False,
) -> dict[str, int]:
    """Take back all jobs that a dead process or server held.

    Each is one guarded write, so that several servers may do it at once.

    Args:
        crashed: ids of the jobs that were being performed when the worker crashed, and how it
            ended: these count as crashes, the others do not.
        unexplained: any of the jobs may have ended the whole server. Each becomes a suspect, to be
            performed alone; for one that was a suspect already it counts as a crash.

    Returns:
        how many were `requeued` and how many `failed`, because their workers crashed too often.
    """
    counts = {"requeued": 0, "failed": 0}
    for stored in _held_by(store, owner):
        how = (crashed or {}).get(str(stored["_id"]))
        if unexplained and how is None:
            how = _suspect(store, stored, reason)
        outcome = _take_back(store, stored, how, reason, crash_limit)
        if outcome:
            counts[outcome] += 1
    for taken in plugins.hook.take_back_claims(
        owner=owner, crashed=crashed or {}, crash_limit=crash_limit
    ):
        counts["requeued"] += taken
    return counts


def _suspect(store: Store, stored: dict[str, Any], reason: str) -> str | None:
    """Note that a claimed job may have ended its server; return how, if it was the only one.

    A suspect is claimed alone by a process of its own, so that it was being performed. The claim's
    number is noted: several servers may be at it at once.
    """
    number, since = stored.get("claim_number", 0), stored.get(claims.SUSPECTED)
    if since is not None and since < number:
        return reason
    held = {"_id": stored["_id"], "claimed_by": stored["claimed_by"], "claim_number": number}
    store.write_many(COLLECTION, [Write(held, {"$set": {claims.SUSPECTED: number}})])
    return None


def _held_by(store: Store, owner: str) -> Iterator[dict[str, Any]]:
    """Return the documents of the jobs that a process or server holds, each once."""
    tried: set[Any] = set()
    while True:
        found = store.collection(COLLECTION).find(claims.held_by(owner), limit=500)
        stored = [each for each in found if each["_id"] not in tried]
        if not stored:
            return
        tried.update(each["_id"] for each in stored)
        yield from stored


def _take_back(
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
        # One job that cannot be loaded, or whose callbacks raise, must not keep the others back.
        log.exception("a job cannot be taken back as it should be", job_id=str(stored["_id"]))
        return "failed" if _fail_stored(store, stored, error) else None


def _fail_stored(store: Store, stored: Mapping[str, Any], error: Exception) -> bool:
    """Fail a claimed job by its document alone; return whether it was still claimed."""
    try:
        return store.write_many(COLLECTION, [claims.fail(stored, error)])[0]
    except Exception as lost:
        log.error("it cannot be failed either", job_id=str(stored["_id"]), error=str(lost))
        return False


def _fail_unclaimed(store: Store, id: Any, error: Exception) -> bool:
    """Fail a queued job if its document cannot take a claim; return whether that was done."""
    stored = store.collection(COLLECTION).find_one({"_id": id})
    if stored is None or claims.can_be_claimed(stored):
        return stored is None  # it is not the document's fault
    for update in claims.failures_of_queued(error):
        try:
            store.write_many(COLLECTION, [Write({"_id": id, "state": "queued"}, update)])
        except Exception as refused:  # with less and less said there is room for it
            if store.is_transient(refused):
                raise
        else:
            return True
    return False


def waiting_suspects(queue: Queue) -> bool:
    """Tell whether anything could start now whose worker has crashed before.

    Args:
        queue: as a process for suspects sees it.
    """
    return queue.could_start() or any(queue.plugins.hook.waiting_suspects())
