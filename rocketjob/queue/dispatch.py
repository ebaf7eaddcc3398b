"""The queue: which jobs are next, claimed for a worker or released again.

A claim is one atomic step: the most urgent jobs that are due and of a class loaded here become
running, under the claimer's name and with a claim number that grows. Every later write of the
worker is conditional on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.log import Logger
from rocketjob.jobs import claims, holds, removal
from rocketjob.jobs.claims import COLLECTION, claim_of
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.fit import check_fits
from rocketjob.jobs.holds import Hold
from rocketjob.jobs.job import Job
from rocketjob.jobs.limit import Limit
from rocketjob.model.record import record_of
from rocketjob.model.renewal import VERSION
from rocketjob.queue import versions
from rocketjob.queue.eligible import Eligible
from rocketjob.queue.head import Head
from rocketjob.queue.limits import ClaimRefused, LimitedClaim, Seen, limits_of
from rocketjob.queue.lookout import REST, Lookout, Rounds
from rocketjob.queue.narrowing import Narrowing
from rocketjob.queue.place import Place, more_urgent_than, place_of
from rocketjob.queue.unusable import fail_claimed, fail_queued, loaded
from rocketjob.store import Collection, Filter, Store
from rocketjob.store.context import Plugins

log = Logger("rocketjob.queue")
ORDER = [("priority", 1), ("_id", 1)]  # the most urgent first, then the oldest
MOST_OPEN = 200  # running jobs that a claim looks at for parts to join, if it has no more time
MOST_WATCHED = 100  # running jobs of those that are left alone, whose end is noticed at once
SOONEST = 0.1  # seconds after which jobs that were held back are asked about again, or later
DEFERRED_ALONE = 20  # jobs of a class whose limits fail: of more, the whole class is deferred


@attrs.define(eq=False)
class Queue:
    """The queue as one claimer sees it.

    Args:
        claimed_by: the claimer's id, unique to one start of one process.
        worker_name: stored on the jobs that it claims.
        config: its `include`, `exclude` and `where` narrow what is claimed.
        quarantined: claim only jobs whose worker has crashed before, or only the others; None: all.
    """

    store: Store
    plugins: Plugins
    config: Config
    claimed_by: str
    worker_name: str
    quarantined: bool | None = None
    eligible: Eligible = attrs.field(init=False)
    lookout: Lookout = attrs.field(factory=Lookout, init=False)
    head: Head = attrs.field(factory=Head, init=False)
    _rounds: Rounds = attrs.field(factory=Rounds, init=False)
    _logged: set[tuple[str, str]] = attrs.field(factory=set)
    _owed: list[tuple[Any, Callable[[], None]]] = attrs.field(factory=list)  # job ids and steps
    _has_joinable: bool = False  # whether the last claim met running jobs that can be joined
    _out_of_reach: str = ""  # in this claim: how the jobs are joined whose parts are away
    _patient_until: float = inf
    _asked_at: float = inf  # when the present claim was asked for

    def __attrs_post_init__(self) -> None:
        narrowing = Narrowing(self.store, self.plugins, self.config)
        self.eligible = Eligible(self.config, self.quarantined, narrowing=narrowing)

    def split(self, which: Callable[[type[Job]], bool]) -> Queue:
        """Return a queue of its own for some classes, under the same name; leave them out here.

        Of jobs in quarantine it has those that are performed in a group, which are not left out:
        where they have no place they are performed alone.
        """
        other = Queue(
            self.store,
            self.plugins,
            self.config,
            self.claimed_by,
            self.worker_name,
            self.quarantined,
        )
        other.eligible = Eligible(
            self.config, self.quarantined, narrowing=self.eligible.narrowing, which=which
        )
        if self.quarantined:
            other.eligible.grouped = True
        else:
            self.eligible.which = lambda cls: not which(cls)
        return other

    # --- claiming ----------------------------------------------------------------------------

    def claim(self, limit: int, places: int | None = None, patience: float = inf) -> list[Job]:
        """Claim up to `limit` jobs, the most urgent first; expired ones are removed instead.

        Running jobs that more workers can join are among them, once for each worker.

        Args:
            places: how many workers can join a running job; `limit`, if not given.
            patience: seconds to look past jobs that wait for limits; where they were too few the
                next call goes on: see `Lookout.sees_on`. Without end, nothing is left to a later
                claim: see `Head`.
        """
        places = limit if places is None else places
        self._patient_until = clock.elapsed() + patience
        self._asked_at = clock.monotonic()
        now = clock.now()
        self._out_of_reach = ""
        if self.eligible.deferred.watches:
            self._notice_ends()
        self.eligible.look_at_classes()
        self._has_joinable = self.lookout.leaves_some = False
        jobs: list[Job] = []
        for looked, open_job in enumerate(self.open_jobs(now, self._rounds.after()), 1):
            self._has_joinable = True
            if len(jobs) >= limit:
                return jobs
            jobs += self._claim_queued(limit - len(jobs), now, open_job)
            joined = self._join(open_job, min(places, limit - len(jobs)))
            places -= len(joined)
            jobs += joined
            if not jobs and looked >= MOST_OPEN and clock.elapsed() >= self._patient_until:
                self._rounds.cut((open_job.priority, open_job.id))
                return self._claim_queued(limit, now)
        return jobs + self._claim_queued(limit - len(jobs), now)

    def _claim_queued(self, limit: int, now: datetime, before: Job | None = None) -> list[Job]:
        """Claim jobs that are queued.

        Args:
            before: only those that are more urgent than this one.
        """
        if limit <= 0:
            return []
        skipped = self.head.skipped() if self._may_skip else ()
        end = None if before is None else (before.priority, before.id)
        narrower = [*skipped, *([] if end is None else [more_urgent_than(end)])]
        while True:
            began = clock.elapsed()
            claimed = self._claim_some(self.eligible.filter(now, *narrower), limit, now)
            if self._may_skip and not skipped and (claimed or not self.lookout.sees_on):
                self.head.note(self.store, ORDER, claimed, clock.elapsed() - began, end)
            jobs = [job for stored in claimed if (job := self._take(stored)) is not None]
            if jobs or not claimed:
                return self._renewed(jobs)
            # All had expired, or are of newer code: that says nothing of those behind them.

    @property
    def _may_skip(self) -> bool:
        """Whether a claim may leave jobs for a later one, which somebody is going to make."""
        return self._patient_until < inf and not self.quarantined

    def _claim_some(self, filter: Filter, limit: int, now: datetime) -> list[dict[str, Any]]:
        try:
            return self._claim_together(filter, limit, now)
        except ClaimRefused as refused:
            return self._claim_singly(filter, refused.ids, refused.error, now)
        except Exception as error:
            if self.store.is_transient(error):
                raise
            first = self._jobs().find(filter, {"_id": 1}, sort=ORDER, limit=limit)
            return self._claim_singly(filter, [stored["_id"] for stored in first], error, now)

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
                if not fail_queued(self.store, id, error):
                    raise error from None
        return claimed

    def _claim_together(self, filter: Filter, limit: int, now: datetime) -> list[dict[str, Any]]:
        update = claims.claim_update(self.claimed_by, self.worker_name, now, self.eligible.cleared)
        if self.eligible.limited:
            claim = LimitedClaim(
                self.store, filter, update, ORDER, now, Job.from_document, self._limits_fail
            )
            return self.lookout.run(claim, limit, self._patient_until)
        return self.store.claim_many(COLLECTION, filter, update, sort=ORDER, limit=limit)

    def _limits_fail(self, job: Job, error: BaseException) -> None:
        """Defer a job whose limits cannot be asked; the log says so once for its class."""
        name = type(job).type_name()
        reason = f"limits of {name}"
        alone = self.eligible.deferred.count(reason) < DEFERRED_ALONE
        self.defer(reason, {"_id": job.id} if alone else {"_type": type(job).stored_type()})
        if (name, type(error).__name__) not in self._logged:
            self._logged.add((name, type(error).__name__))
            problem = f"{type(error).__name__}: {message_of(error)}"
            job.logger.exception("deferred: its limits fail", error=problem)

    def _take(self, stored: dict[str, Any]) -> Job | None:
        """Return a job that was claimed; None for one that has expired, or cannot be loaded."""
        try:
            if VERSION in stored and self._leave_to_newer(stored):
                return None
            job = self.load(stored)
            if self._discard_expired(job):
                return None
            check_fits(job)
            return job
        except Exception as error:
            log.exception("a job that was claimed cannot be started", job_id=str(stored["_id"]))
            fail_claimed(self.store, stored, error)
            return None

    def _leave_to_newer(self, stored: dict[str, Any]) -> bool:
        """Release a claimed job that newer code has stored; return whether it is one."""
        hold = versions.hold_of_newer(stored)
        if hold is None:
            return False
        job = Job.listed(stored)
        claims.hold(job, claims.claim_in(stored, self._asked_at))
        if (hold.name, hold.text) not in self._logged:
            self._logged.add((hold.name, hold.text))
            job.logger.warning("held back: it was stored by newer code", reason=hold.text)
        try:
            self.hold_back(job, hold, hold.filter or {}, watches=False)
        except Exception as error:
            if not self.store.is_transient(error):
                raise
            log.warning("not released yet", job_id=str(job.id), error=message_of(error))
        return True

    def _renewed(self, jobs: list[Job]) -> list[Job]:
        """Store claimed jobs of earlier code as their class has them now, before they start."""
        earlier = [job for job in jobs if record_of(job).renewal is not None]
        for job in versions.renew(self.store, earlier) if earlier else ():
            jobs.remove(job)  # it was edited since it was read
            stored = self._jobs().find_one(job.write_guard())
            if stored is not None and (again := self._take(stored)) is not None:
                jobs.append(again)
        return jobs

    def open_jobs(self, now: datetime, after: Place | None = None) -> Iterator[Job]:
        """Yield the running jobs that more workers can join, the most urgent first.

        Args:
            after: only those behind this place.
        """
        filter = self.eligible.running(now)
        if filter is None:
            return
        # Sorted here: asked for in order, the store would walk all that run to find these few.
        running = sorted(self._jobs().find(filter), key=place_of)
        for stored in running:
            if after is None or place_of(stored) > after:
                job = None if self._is_of_newer(stored) else loaded(stored)
                if job is not None:
                    yield job

    def _is_of_newer(self, stored: dict[str, Any]) -> bool:
        """Return whether a running job is of newer code; it is then left to that."""
        try:
            hold = versions.hold_of_newer(stored) if VERSION in stored else None
        except ValueError:
            return False  # whoever loads it says so
        if hold is not None:
            log.warning("not joined: newer code stored it", job_id=str(stored["_id"]))
            self.defer(hold.name, hold.filter or {})
        return hold is not None

    def before_joining(self, job: Job, step: Callable[[], None]) -> None:
        """Have something done before workers join a running job again, as what a worker owes it.

        Until it succeeds nobody joins the job.
        """
        self._owed.append((job.id, step))  # one atomic step: threads of workers call this

    def leave_open(self, job: Job, error: Exception, seconds: float = 0.0) -> None:
        """Defer running jobs, since parts of this one are in a store that is away; say so once.

        All that are joined in the same way are deferred: each look may take long. What is known of
        one kind of jobs alone is in one store.

        Args:
            seconds: how long the look took.
        """
        way = type(job).joinable or {"_id": job.id}
        said = ("left open", repr(way))
        if said not in self._logged:
            self._logged.add(said)
            problem = f"{type(error).__name__}: {message_of(error)}"
            job.logger.warning("deferred: its parts are out of reach", error=problem)
        self.defer("parts out of reach", way, max(self.config.max_poll_seconds, REST * seconds))

    def _join(self, job: Job, places: int) -> list[Job]:
        """Return the job once for each worker that is to join it; nothing is written."""
        way, began = repr(type(job).joinable), clock.elapsed()
        if way == self._out_of_reach:
            return []
        try:
            self._pay(job)
            count = job.free_slots(places, self.quarantined) if places > 0 else 0
        except Exception as error:
            self._leave(job, error, clock.elapsed() - began)
            return []
        if places > 0:
            self._logged.discard(("left open", way))
        return [
            job,
            *(Job.from_document(dict(record_of(job).stored or {})) for _ in range(count - 1)),
        ][: max(0, count)]

    def _pay(self, job: Job) -> None:
        """Do what is owed to a job before it is joined."""
        while owed := next((owed for owed in self._owed if owed[0] == job.id), None):
            owed[1]()
            self._owed.remove(owed)  # only now: if it fails it is still owed

    def _leave(self, job: Job, error: Exception, seconds: float) -> None:
        """Defer a running job that cannot be joined, so that the others can be claimed.

        Raises:
            Exception: this store cannot be reached either.
        """
        if self.store.is_transient(error):  # its parts may be in another store, which is away
            self._jobs().find_one({"_id": job.id}, {"_id": 1})
            self._out_of_reach = repr(type(job).joinable)
            return self.leave_open(job, error, seconds)
        log.exception("a running job cannot be joined", job_id=str(job.id))
        self.defer("cannot be joined", {"_id": {"$in": [job.id]}})

    def more_urgent(self, job: Job) -> bool:
        """Return whether a job that should go before this one waits."""
        filter = self.eligible.filter(clock.now(), {"priority": {"$lt": job.priority}})
        return self._jobs().find_one(filter, {"_id": 1}) is not None

    def defer(self, name: str, filter: Filter, seconds: float = inf) -> None:
        """Leave jobs alone until the next re-check: something that is not a limit keeps them.

        Args:
            seconds: less than until the re-check.
        """
        self.eligible.defer(name, filter, seconds)

    @property
    def sees_on(self) -> bool:
        """Whether the last claim was cut short, so that the next one goes on where it was."""
        return self.lookout.sees_on or self._rounds.sees_on

    @property
    def leaves_some(self) -> bool:
        """Whether the last claim has met jobs that wait for what may be no change of the store."""
        return self._has_joinable or self.lookout.leaves_some

    @property
    def looks_again_in(self) -> float:
        """Seconds until a claim looks again at what an earlier one has passed over."""
        parts = (self.lookout, self._rounds, self.head)
        return min(part.looks_again_in for part in parts)

    def hold_back(self, job: Job, hold: Hold, filter: Filter, watches: bool = True) -> None:
        """Release a claimed job that is not to start, and leave it and its like alone.

        Args:
            filter: what is left alone: the hold's, with the job itself.
            watches: whether the end of a running job like it may let it go.
        """
        until = self._asked_again(hold)
        running, published = list[Any](), None
        if dict(filter) != {"_id": job.id}:
            try:
                said = attrs.evolve(hold, filter=filter)
                running = self._running_like(said, job) if watches else []
                published = holds.publish(
                    self.store, said, job, self.claimed_by, self.worker_name, until
                )
            except Exception as error:
                if not self.store.is_transient(error):
                    raise
                log.warning("what is held back is not published", by=hold.name, error=str(error))
        seconds = (until - clock.now()).total_seconds()
        self.eligible.defer(hold.name, filter, seconds, running, published)
        stored, now = record_of(job).stored or {}, clock.now()
        note = holds.note(stored, hold.name, hold.text, now) | job.waiting_note(hold.name, now)
        self.release([job], note, hold.reason)

    def _running_like(self, hold: Hold, job: Job) -> list[Any]:
        """Return the ids of running jobs that a hold matches, besides the one that it is about."""
        others = {"$and": [{"state": "running"}, hold.filter or {}, {"_id": {"$ne": job.id}}]}
        found = self._jobs().find(others, {"_id": 1}, limit=MOST_WATCHED)
        return [stored["_id"] for stored in found]

    def _asked_again(self, hold: Hold) -> datetime:
        """Return when jobs that are held back are asked about again."""
        now = clock.now()
        soonest, latest = (now + timedelta(seconds=s) for s in self._re_check())
        at = hold.until if hold.until is not None and hold.until > now else latest
        return min(max(at, soonest), latest)

    def _re_check(self) -> tuple[float, float]:
        return min(SOONEST, self.config.re_check_seconds), self.config.re_check_seconds

    def _notice_ends(self) -> None:
        """Ask again at once where a job has ended whose running may have been the reason.

        One that was released has not ended: it was to be held back itself.
        """
        deferred = self.eligible.deferred
        watched = deferred.watched()
        present = {"_id": {"$in": list(watched)}, "state": {"$in": ["running", "queued"]}}
        ended = watched - {stored["_id"] for stored in self._jobs().find(present, {"_id": 1})}
        if ended and (published := deferred.let_go(ended)):
            holds.withdraw(self.store, published)

    def load(self, stored: dict[str, Any]) -> Job:
        """Return a job that this claimer has claimed, to be written under that claim."""
        job = Job.from_document(stored)
        claims.hold(job, claims.claim_in(stored, self._asked_at))
        return job

    def _discard_expired(self, job: Job) -> bool:
        if not job.is_expired:
            return False
        job.logger.info("expired: removed", expires_at=job.expires_at)
        with removal.because(job, removal.EXPIRED):
            job.destroy()
        return True

    def is_waiting(self) -> bool:
        """Return whether a job waits that this claimer may start now.

        Raises:
            StoreError: the store does not understand the filter `where`.
        """
        return self._jobs().find_one(self.eligible.filter(clock.now()), {"_id": 1}) is not None

    def could_start(self) -> bool:
        """Return whether one of the jobs that wait would start now, its limits asked too."""
        now, seen = clock.now(), Seen()
        while page := list(
            self._jobs().find(
                self.eligible.filter(now, *seen.filters()), sort=ORDER, limit=MOST_OPEN
            )
        ):
            if any(self._has_free_slots(stored, now, seen) for stored in page):
                return True
            seen.last = place_of(page[-1])
        return False

    def has_quarantined(self) -> bool:
        """Return whether anything could start now whose worker has crashed before.

        To be asked of a queue that is for those jobs only.
        """
        return self.could_start() or any(
            answer.value for answer in self.plugins.answers("waiting_quarantined")
        )

    def _has_free_slots(self, stored: dict[str, Any], now: datetime, seen: Seen) -> bool:
        try:
            job = Job.from_document(stored)
        except Exception:
            return True  # whoever claims it says so, and fails it
        try:
            return not any(self._is_full(limit, now, seen) for limit in limits_of(job))
        except BaseException as error:  # whatever an app's code raises
            if self.store.is_transient(error):
                raise
            return False

    def _is_full(self, limit: Limit, now: datetime, seen: Seen) -> bool:
        key = (type(limit), limit.key, limit.maximum)
        if key not in seen.full and limit.free(self.store, now) <= 0:
            seen.full.add(key)
            seen.blocked.add(limit.blocks)
        return key in seen.full

    def next_due(self, now: datetime) -> datetime | None:
        """Return when the next scheduled job becomes due; None if there is none."""
        stored = self._jobs().find_one(
            {"state": "queued", "run_at": {"$gt": now}}, {"run_at": 1}, sort=[("run_at", 1)]
        )
        return None if stored is None else stored["run_at"]

    # --- releasing ---------------------------------------------------------------------------

    def release(
        self,
        jobs: Sequence[Job],
        note: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> None:
        """Queue jobs again that were claimed and not started, with a note of why they wait.

        One that was only to be joined was not claimed, and is nobody's to release.
        """
        claimed = [record_of(job).stored or {} for job in jobs if claim_of(job) is not None]
        writes = [claims.release(stored, note, reason) for stored in claimed]
        if writes:
            self.store.write_many(COLLECTION, writes)

    def _jobs(self) -> Collection:
        return self.store.collection(COLLECTION)
