"""`Job`: the base of all jobs.

A job is a class with typed fields and a `perform` method. It is stored as one document, changes
its state by events, and is run by whoever claims it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Self, TypeVar, cast

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import JobTimeout, NotFound, UnknownJobClass
from rocketjob.base.log import Logger
from rocketjob.base.off_loop import off_loop
from rocketjob.base.text import as_bytes, did_you_mean
from rocketjob.jobs import awaited, claims, class_checks, completions, origin, stuck
from rocketjob.jobs.builder import JobBuilder
from rocketjob.jobs.checked import Moment, PerformLater, PerformLaterAsync
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.enqueuing import ask_plugins
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.lifecycle import Lifecycle
from rocketjob.jobs.limit import Limit
from rocketjob.jobs.meta import is_small
from rocketjob.jobs.old_names import keep_old_names
from rocketjob.jobs.performance import is_longer_than_nothing, performance_of, refuse_in_coroutine
from rocketjob.jobs.present import Presented
from rocketjob.jobs.query import Scopes
from rocketjob.jobs.state_names import name_states
from rocketjob.model import validators
from rocketjob.model.document import Document
from rocketjob.model.fields import field, left_out_if_empty, read_only_field
from rocketjob.model.record import record_of, values_of
from rocketjob.model.registry import loaded_classes, lookup
from rocketjob.model.saving import save_both
from rocketjob.store import Filter, Stored, context
from rocketjob.store.unit import NEVER

if TYPE_CHECKING:
    from rocketjob.base.config import Config
    from rocketjob.jobs.reasons import Explanation, Reason, Remark

P = ParamSpec("P")
J = TypeVar("J")
INDEXES: dict[str, list[dict[str, Any]]] = {
    COLLECTION: [
        {
            # A claim walks this one in its order, and sees in it whether a job is due.
            "keys": [("state", 1), ("priority", 1), ("_id", 1), ("run_at", 1), ("_type", 1)],
            "name": "claim",
        },
        {"keys": [("state", 1), ("run_at", 1)], "name": "due"},
        {"keys": [("completed_at", 1)], "name": "completed_at"},
        claims.INDEX,
        *origin.INDEXES,
    ]
}


class Job(Lifecycle, Scopes, Presented):
    """Base of all jobs: subclass it, annotate its fields, and write `perform`."""

    collection_name: ClassVar[str] = COLLECTION
    callback_events: ClassVar[frozenset[str]] = frozenset({"perform"})
    pausable: ClassVar[bool] = False
    """Whether a running job can be paused; its claim is then given up, and resuming queues it."""
    joinable: ClassVar[Filter | None] = None
    """Which running jobs of the class more workers can join; None: one worker runs it alone."""
    isolation: ClassVar[Literal["process"] | None] = None
    """`process`: servers call `perform` in a process of its own, which can be ended at any time."""
    max_memory: ClassVar[int | str | None] = None
    """How much memory that process may have: bytes, or a string such as `512MB`."""
    stuck_after: ClassVar[timedelta | None] = None
    """After how long it is noted on the job, and in the log, at which line its thread is."""
    cleared_by_claim: ClassVar[tuple[str, ...]] = ()
    """Stored keys that a claim removes, such as the reason why the job was waiting."""

    __arguments_of_perform__: ClassVar[Any] = None
    __checked__: ClassVar[bool] = False
    __declared_fields__: ClassVar[Any] = None
    __stand_in__: ClassVar[Any] = None  # `UnknownJob`, which sets it: it is a job itself

    id: ObjectId = field(factory=ObjectId)
    description: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    priority: int = field(
        default=50,
        validator=validators.in_range(1, 100),
        user_editable=True,
        copy_on_restart=True,
        description="1 to 100; 1 is the most urgent",
    )
    if TYPE_CHECKING:  # that both take a timedelta too
        run_at: Moment = field(default=cast(Any, None))
        expires_at: Moment = field(default=cast(Any, None))
    else:
        run_at: datetime | None = field(default=None, user_editable=True, description="not before")
        expires_at: datetime | None = field(
            default=None, copy_on_restart=True, description="discarded if not started by then"
        )
    timeout: timedelta | None = field(
        default=None,
        validator=is_longer_than_nothing,
        user_editable=True,
        copy_on_restart=True,
        description="how long one attempt, or a slice of a batch, may take",
    )
    destroy_on_complete: bool = field(default=True, copy_on_restart=True)
    collect_output: bool = field(
        default=False, copy_on_restart=True, description="keep what perform returned in result"
    )
    log_level: Literal["trace", "debug", "info", "warn", "error", "fatal"] | None = field(
        default=None, user_editable=True, copy_on_restart=True
    )
    created_at: datetime = field(factory=clock.now)

    meta: dict[str, Any] = left_out_if_empty(
        field(
            factory=dict,
            validator=is_small,
            copy_on_restart=True,
            description="what plugins and callers note on the job: trace ids, a tenant",
        )
    )

    state: str = read_only_field(default="queued")
    started_at: datetime | None = read_only_field()
    completed_at: datetime | None = read_only_field()
    failure_count: int = read_only_field(default=0)
    interruptions: int = read_only_field(default=0)
    worker_name: str | None = read_only_field()
    claimed_by: str | None = read_only_field()
    claim_number: int = read_only_field(default=0)
    percent_complete: int = read_only_field(default=0)
    progress_text: str | None = read_only_field()
    throttled_by: str | None = read_only_field()
    throttled_text: str | None = read_only_field()
    throttled_at: datetime | None = read_only_field()
    exception: JobException | None = read_only_field()
    result: dict[str, Any] | None = read_only_field()
    arguments: dict[str, Any] | None = read_only_field()
    created_in: ObjectId | None = read_only_field()
    created_for: str | None = read_only_field()

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(abstract=abstract, **options)
        keep_old_names(cls)
        class_checks.check_made_class(cls)
        name_states(cls)

    # --- what it does ------------------------------------------------------------------------

    def perform(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; every job class writes its own. What it returns is the job's result."""
        self.check_class()
        raise NotImplementedError("Job.perform does nothing: leave the call of super() out")

    def check(self) -> None:
        """Look, within `perform`, whether the job is to end; it costs next to nothing.

        Call it where the job can stop: in a long loop, between two files. Let what it raises end
        `perform`.

        Raises:
            JobTimeout: the `timeout` has passed; the job fails with it.
            JobAborted: the job was aborted meanwhile; nothing is written.
            ClaimLost: it was paused, failed, requeued or deleted meanwhile; likewise.
            ServerStopping: the server stops; the job is queued again.
        """
        performance = self._record.performance
        if performance is not None:
            performance.check()

    def sleep(self, seconds: float | timedelta) -> None:
        """Sleep within `perform`, and end at once if the job is to end.

        In a coroutine write `await asyncio.sleep(...)` instead: that is cancelled.

        Args:
            seconds: how long; also a timedelta.

        Raises:
            RocketJobError: as `check` does.
            ValueError: it is negative or not a duration.
            UnsupportedOperation: it is called in a coroutine, and would hold all others up.
        """
        delay = clock.as_delay(seconds).total_seconds()
        refuse_in_coroutine()
        performance_of(self).sleep(delay)

    def work(self, worker: Any) -> None:
        """Do all the work of a claimed job; a mixin that works differently overrides it.

        Args:
            worker: a `rocketjob.worker.runner.Worker`.
        """
        context.current().work(self, worker)

    def claim_limits(self) -> list[Limit]:
        """Return the limits that a claim of this job is subject to; mixins add theirs.

        Where it raises the job is deferred until the next re-check.
        """
        return []

    def waiting_note(self, name: str, now: datetime) -> dict[str, Any]:
        """Return what to store on the job when a limit of this name defers it."""
        return {}

    def unique_keys(self) -> dict[str, Any]:
        """Return what is stored of the job that is made from its class's name, and is unique.

        For `rocketjob jobs migrate`; mixins that have such a key override it.
        """
        return {}

    @classmethod
    def runnable_on(cls, config: Config) -> bool:
        """Return whether a server with these settings runs jobs of this class."""
        return True

    def free_slots(self, wanted: int, quarantined: bool | None = None) -> int:
        """Return how many more workers, up to `wanted`, can join this running job.

        Args:
            quarantined: count only parts whose worker has crashed before, or only the others.
        """
        return 0

    @classmethod
    def memory_limit(cls) -> int | None:
        """Return `max_memory` in bytes.

        Raises:
            ValueError: it is no amount of memory.
        """
        return None if cls.max_memory is None else as_bytes(cls.max_memory)

    def bring_back(self) -> None:
        """Put into fields what the job holds besides, before they leave a process of its own."""

    def plan_again(self) -> bool:
        """Plan again what was planned by a clock that was ahead; return whether the job was moved.

        Servers call it for queued jobs whose `created_at` is in the future.
        """
        return False

    def held_up_by(self) -> Iterable[Reason]:
        """Say what holds up a job that is not queued, besides its state, for `explain`."""
        return ()

    def progress_now(self) -> str | None:
        """Say how far it is, where it is performed: what is stored may be a second behind.

        Called on another thread than the job's.
        """
        return self.progress_text

    def remarks(self) -> Iterable[Remark]:
        """Say what is worth knowing about the job besides its fields; mixins add theirs."""
        return stuck.remarks(self)

    @classmethod
    def create(cls: Callable[P, J], *args: P.args, **values: P.kwargs) -> J:
        """Create and store a job.

        Raises:
            TypeError: an unknown field.
            ValidationError: nothing was stored.
        """
        job: Any = cls(*args, **values)
        return job.submit()  # type: ignore[no-any-return]

    def submit(self) -> Self:
        """Store a new job, for `create` and `perform_later`.

        A mixin may return an existing job instead.

        Raises:
            NotImplementedError, TypeError: see `check_class`.
        """
        self.check_class()
        saved = self.save()
        if saved is not self and self.is_new:
            raise TypeError(
                f"{type(self).__qualname__}.save has stored nothing, since it replaces the method "
                "that does: give it another name, or have it return super().save(...)"
            )
        return saved

    @classmethod
    def check_class(cls) -> None:
        """Refuse a class whose jobs could only fail, or would not do what its settings say.

        Raises:
            NotImplementedError: it has no `perform`; the message says what to do.
            TypeError: it has a setting of a mixin that it does not have.
        """
        if "__checked__" not in cls.__dict__:
            class_checks.check_used_class(cls)
            cls.__checked__ = True

    def explain(self) -> Explanation:
        """Say why the job is not running now, and when it could."""
        explanation: Explanation = context.current().explain(self)
        return explanation

    def perform_now(self) -> Any:
        """Run the job here and now, whatever its `run_at`; return what perform returned.

        A job that is not stored is not stored now either; the outcome of a stored one is saved.

        Raises:
            ValidationError: before anything is run.
            Exception: what perform raised; the job is then failed.
        """
        if not isinstance(self, Job):  # it was called on the class
            raise TypeError(
                "perform_now belongs to a job, such as ReportJob(...); with arguments for perform: "
                "ReportJob.set().perform_now(...)"
            )
        return context.current().perform_now(self)

    if TYPE_CHECKING:
        perform_later: ClassVar[PerformLater]
        perform_later_async: ClassVar[PerformLaterAsync]
    else:

        @classmethod
        def perform_later(cls, *args: Any, **kwargs: Any) -> Self:
            """Store a job that will call `perform` with these arguments; return the job.

            Raises:
                TypeError: perform does not take these arguments, or not of these types.
                NotImplementedError: the class has no perform.
            """
            return cls.set().perform_later(*args, **kwargs)

        @classmethod
        async def perform_later_async(cls, *args: Any, **kwargs: Any) -> Self:
            """Do the same in a coroutine, and let its event loop go on: see `perform_later`."""
            return await off_loop(cls.perform_later, *args, **kwargs)

    @classmethod
    def set(cls, **fields: Any) -> JobBuilder[Self]:
        """Return a builder with these fields, for `perform_later` and `perform_now`."""
        return JobBuilder(cls, fields)

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the job has ended: completed, failed or aborted; return it, reloaded.

        Args:
            timeout: seconds; None waits forever.

        Raises:
            JobTimeout: it has not ended by then.
            NotFound, JobExpired: see `reload`.
        """
        store, end = context.current().store, clock.monotonic() + (timeout or 0)
        note_at: float | None = None  # not at the first look: most have ended
        while True:
            mark = store.change_mark()
            if note_at is not None and clock.monotonic() >= note_at and context.is_fixed():
                self._note_awaited()
                note_at = clock.monotonic() + claims.AWAITED_SECONDS / 3
            note_at = clock.monotonic() if note_at is None else note_at
            if self._has_ended():
                return self
            left = 5.0 if timeout is None else min(5.0, end - clock.monotonic())
            if left <= 0:
                raise self._not_ended_after(timeout)
            store.wait_for_change(mark, left)

    async def wait_async(self, timeout: float | None = None) -> Self:
        """Wait in a coroutine until the job has ended; return it, reloaded: see `wait`.

        The event loop goes on meanwhile, and no thread is held: a process may wait for thousands.
        """
        import asyncio  # for start-up time

        end = None if timeout is None else clock.monotonic() + timeout
        while not await off_loop(self._has_ended):
            if context.is_fixed():
                await off_loop(self._note_awaited)
            longest = claims.AWAITED_SECONDS / 3
            left = longest if end is None else min(longest, end - clock.monotonic())
            if left <= 0:
                raise self._not_ended_after(timeout)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await awaited.awaited().ended(self.id)
        return self

    def _has_ended(self) -> bool:
        """Reload the job; return whether it has ended."""
        return self._reload(patience=completions.PATIENCE).state in awaited.ENDED

    def _not_ended_after(self, timeout: float | None) -> JobTimeout:
        return JobTimeout(f"{self!r} has not ended after {timeout} s")

    def _note_awaited(self) -> None:
        """Note that a job in a server waits for this one: it may keep the only worker from it."""
        self.collection().update_one(
            {"_id": self.id, "state": "queued"}, {"$set": {claims.AWAITED: clock.now()}}
        )

    @property
    def logger(self) -> Logger:
        """Log with the job's id and class bound, at the job's own level if it has one."""
        level, logger = self._record.logger or (None, None)
        if logger is None or level != self.log_level:
            cls = type(self)
            fields = {"job_id": str(self.id), "job": cls.type_name()}
            if self.claim_number:
                fields |= {"worker": self._worker_of_claim(), "claim": str(self.claim_number)}
            logger = Logger(f"{cls.__module__}.{cls.__name__}", fields, self.log_level)
            self._record.logger = self.log_level, logger
        return cast(Logger, logger)

    def _worker_of_claim(self) -> str:
        """Return who holds the job, or who ended it, if nobody holds it any more."""
        if self.worker_name:
            return self.worker_name
        ended = self.history[-1:]
        return (ended[0].worker_name if ended else None) or ""

    def before_created(self) -> None:
        origin.note(self)
        ask_plugins(self)

    # --- restarting --------------------------------------------------------------------------

    def restarted(self, **overrides: Any) -> Self:
        """Return a new job of this class with the fields that are marked `copy_on_restart`.

        It is created in this one, and for the same: see `created_in` and `created_for`.
        """
        values = values_of(self)
        copied = {
            name: copy.deepcopy(values[name])
            for name, field in self.__fields__.items()
            if field.copy_on_restart
        }
        new = type(self)(**{**copied, **overrides})
        origin.note(new, self)
        return new

    def create_restart(self, **overrides: Any) -> Self | None:
        """Store and return the job that `restarted` returns; None if this one has expired."""
        if self.is_expired:
            self.logger.info("not restarted: expired")
            return None
        return self.restarted(**overrides).save()

    def stored_value(self, name: str, default: Any = None) -> Any:
        """Return a field's value as it was stored when this object was loaded or saved, in BSON."""
        return (self._record.stored or {}).get(self.__fields__[name].key, default)

    def edits_by_others(self) -> dict[str, Any]:
        """Return the copied fields that others have changed in the store, with their new values."""
        stored_before = self._record.stored
        stored = None if stored_before is None else self.collection().find_one({"_id": self.id})
        if stored_before is None or stored is None:
            return {}
        now = type(self).from_document(stored)
        stored, current = record_of(now).stored or stored, values_of(now)
        return {
            name: current[name]
            for name, field in self.__fields__.items()
            if field.copy_on_restart and stored.get(field.key) != stored_before.get(field.key)
        }

    # --- adding to a change of state that is under way ---------------------------------------

    def save_with(self, other: Document | None) -> None:
        """Save this job, and store another document, in one step or not at all.

        Raises:
            ValidationError: one of them is not valid; this object is as it was before the call.
        """
        if other is not None:
            return save_both(self, other)
        before = self._record.snapshot(self)
        try:
            self.save(validate=False)
        except BaseException:
            self._record.restore(self, before)
            raise

    def _hidden_by(self) -> Mapping[str, Any]:
        return {"run_at": NEVER} if self.state == "queued" else {}

    # --- the document ------------------------------------------------------------------------

    @classmethod
    def _unknown_class(cls, name: str) -> type[Document]:
        return cls.__stand_in__ or cls

    @classmethod
    def _stand_in(cls, stored: Stored, error: Exception) -> Any:
        return cls.__stand_in__.of(stored, error)

    @classmethod
    def _inserted_among(cls, ids: Sequence[Any]) -> frozenset[Any]:
        """Count those in, too, that have completed since and were removed."""
        found = super()._inserted_among(ids)
        left = [id for id in ids if id not in found]
        return found | completions.among(left) if left else found

    def reload(self) -> Self:
        """Read the job again; what was not saved is lost.

        A job that was removed when it completed is completed here too, for the ten minutes for
        which that is recorded.

        Raises:
            JobExpired: it is gone, and its `expires_at` has passed.
            NotFound: it is gone for another reason.
        """
        return self._reload()

    def _reload(self, patience: float = 0.0) -> Self:
        try:
            return super().reload()
        except NotFound:
            if self.is_new or not self.destroy_on_complete:
                raise completions.gone(self) from None
            if self.is_completed:
                return self  # it was this object that completed it
        completed_at = completions.completed_at(self.id, self.created_at, patience)
        if completed_at is None:
            raise completions.gone(self)
        self.state, self.completed_at = "completed", completed_at
        claims.clear(self)
        self.percent_complete = 100
        return self


keep_old_names(Job)


def job_class(name: str) -> type[Job]:
    """Return the loaded job class of this name.

    Raises:
        UnknownJobClass: none is loaded; the message names the nearest.
    """
    job_class = lookup(name, Job)
    if job_class is None:
        known = [cls.__name__ for cls in loaded_classes(Job)]
        hint = did_you_mean(name, known, "import its module, or name it in `app`")
        raise UnknownJobClass(f"No job class {name} is loaded here; {hint}")
    return job_class
