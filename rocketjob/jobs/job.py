"""`Job`: the base of all jobs.

A job is a class with typed fields and a `perform` method. It is stored as one document, changes
its state by events, and is worked by whoever claims it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Self, TypeVar, cast

import pendulum
from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import (
    ClaimLost,
    JobTimeout,
    NotFound,
    RocketJobError,
    UnknownJobClass,
)
from rocketjob.base.log import Logger
from rocketjob.jobs import claims, class_checks, completions, present
from rocketjob.jobs.builder import JobBuilder
from rocketjob.jobs.checked import Moment, PerformLater
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.exception import JobException
from rocketjob.jobs.limit import Limit
from rocketjob.jobs.query import JobQuery
from rocketjob.model import validators
from rocketjob.model.document import Document
from rocketjob.model.fields import field, read_only_field
from rocketjob.model.record import values_of
from rocketjob.model.registry import loaded_classes, lookup
from rocketjob.model.saving import save_both
from rocketjob.states import history
from rocketjob.states.history import HistoryEntry
from rocketjob.states.machine import Change, Transition, event
from rocketjob.states.stateful import Stateful, change_each
from rocketjob.store import Filter, Stored, context
from rocketjob.store.unit import NEVER

if TYPE_CHECKING:
    from rocketjob.base.config import Config
    from rocketjob.jobs.reasons import Explanation, Reason, Remark

P = ParamSpec("P")
J = TypeVar("J")
STATES = ("queued", "running", "completed", "failed", "paused", "aborted")
ENDED = ("completed", "failed", "aborted")
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
    ]
}


class Job(Stateful):
    """Base of all jobs: subclass it, annotate its fields, and write `perform`."""

    collection_name: ClassVar[str] = COLLECTION
    callback_events: ClassVar[frozenset[str]] = frozenset({"perform"})
    pausable: ClassVar[bool] = False
    """Whether a running job can be paused; its claim is then given up, and resuming queues it."""
    joinable: ClassVar[Filter | None] = None
    """Which running jobs of the class more workers can join; None: one worker runs it alone."""
    cleared_by_claim: ClassVar[tuple[str, ...]] = ()
    """Stored keys that a claim removes, such as the reason why the job was waiting."""

    __arguments_of_perform__: ClassVar[Any] = None
    __checked__: ClassVar[bool] = False
    __declared_fields__: ClassVar[Any] = None

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
    destroy_on_complete: bool = field(default=True, copy_on_restart=True)
    collect_output: bool = field(
        default=False, copy_on_restart=True, description="keep what perform returned in result"
    )
    log_level: Literal["trace", "debug", "info", "warn", "error", "fatal"] | None = field(
        default=None, user_editable=True, copy_on_restart=True
    )
    created_at: datetime = field(factory=clock.now)

    state: str = read_only_field(default="queued")
    started_at: datetime | None = read_only_field()
    completed_at: datetime | None = read_only_field()
    failure_count: int = read_only_field(default=0)
    interruptions: int = read_only_field(default=0)
    worker_name: str | None = read_only_field()
    claimed_by: str | None = read_only_field()
    claim_number: int = read_only_field(default=0)
    percent_complete: int = read_only_field(default=0)
    exception: JobException | None = read_only_field()
    result: dict[str, Any] | None = read_only_field()
    arguments: dict[str, Any] | None = read_only_field()

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(abstract=abstract, **options)
        class_checks.check_made_class(cls)

    # --- what it does ------------------------------------------------------------------------

    def perform(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; every job class writes its own. What it returns is the job's result."""
        self.check_class()
        raise NotImplementedError("Job.perform does nothing: leave the call of super() out")

    def work(self, worker: Any) -> None:
        """Do all the work of a claimed job; a mixin that works differently overrides it.

        Args:
            worker: a `rocketjob.worker.runner.Worker`.
        """
        context.current().work(self, worker)

    def claim_limits(self) -> list[Limit]:
        """Return the limits that a claim of this job is subject to; mixins add theirs.

        Where it raises the job is held back until the next re-check.
        """
        return []

    def waiting_note(self, name: str, now: datetime) -> dict[str, Any]:
        """Return what to store on the job when a limit of this name holds it back."""
        return {}

    @classmethod
    def taken_by(cls, config: Config) -> bool:
        """Tell whether a server with these settings runs jobs of this class."""
        return True

    def open_places(self, wanted: int, suspects: bool | None = None) -> int:
        """Return how many more workers, up to `wanted`, can join this running job.

        Args:
            suspects: count only parts whose worker has crashed before, or only the others.
        """
        return 0

    def held_up_by(self) -> Iterable[Reason]:
        """Say what holds up a job that is not queued, for `explain`; its state apart."""
        return ()

    def remarks(self) -> Iterable[Remark]:
        """Say what is to be known of the job besides its fields; mixins add theirs."""
        return ()

    @classmethod
    def create(cls: Callable[P, J], *args: P.args, **values: P.kwargs) -> J:
        """Make and store a job.

        Raises:
            TypeError: an unknown field.
            ValidationError: nothing was stored.
        """
        job: Any = cls(*args, **values)
        return job.submit()  # type: ignore[no-any-return]

    def submit(self) -> Self:
        """Store a new job, for `create` and `perform_later`.

        A mixin may return another one that is there already.

        Raises:
            NotImplementedError, TypeError: see `check_class`.
        """
        self.check_class()
        return self.save()

    @classmethod
    def check_class(cls) -> None:
        """Refuse a class whose jobs could only fail, or would not do what is asked of them.

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

        A job that is not stored stays so; the outcome of one that is stored is saved.

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
    def set(cls, **fields: Any) -> JobBuilder[Self]:
        """Return a builder with these fields, for `perform_later` and `perform_now`."""
        return JobBuilder(cls, fields)

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the job has ended: completed, failed or aborted; return it, reloaded.

        Args:
            timeout: seconds; None waits without end.

        Raises:
            JobTimeout: it has not ended by then.
            NotFound, JobExpired: see `reload`.
        """
        store, end = context.current().store, clock.monotonic() + (timeout or 0)
        while True:
            mark = store.change_mark()
            if self._reload(patience=completions.PATIENCE).state in ENDED:
                return self
            left = 5.0 if timeout is None else min(5.0, end - clock.monotonic())
            if left <= 0:
                raise JobTimeout(f"{self!r} has not ended after {timeout} s")
            store.wait_for_change(mark, left)

    @property
    def logger(self) -> Logger:
        """Log with the job's id and class bound, at the job's own level if it has one."""
        level, made = self._record.logger or (None, None)
        if made is None or level != self.log_level:
            cls = type(self)
            fields = {"job_id": str(self.id), "job": cls.type_name()}
            if self.claim_number:
                fields |= {"worker": self.worker_name or "", "claim": str(self.claim_number)}
            made = Logger(f"{cls.__module__}.{cls.__name__}", fields, self.log_level)
            self._record.logger = self.log_level, made
        return cast(Logger, made)

    # --- events ------------------------------------------------------------------------------

    @event(Transition(("queued",), "running"))
    def start(self, worker_name: str | None = None, *, save: bool = True) -> None:
        """Start a queued job; a server does it by claiming."""
        self.started_at = clock.now()
        if worker_name is not None:
            self.worker_name = worker_name

    @event(Transition(("running",), "completed"))
    def complete(self, *, save: bool = True) -> None:
        """End a running job well; it is removed if `destroy_on_complete`."""
        claims.release(self)
        self.completed_at = clock.now()
        self.percent_complete = 100
        self.exception = None

    @event(Transition(("queued", "running", "paused"), "failed"), validates=False)
    def fail(
        self,
        reason: BaseException | str | None = None,
        *,
        worker_name: str | None = None,
        save: bool = True,
    ) -> None:
        """Fail a job, with an exception or a reason in words."""
        self.exception = JobException.of(reason, worker_name or self.worker_name)
        claims.release(self)
        self.completed_at = clock.now()
        self.failure_count += 1

    @event(Transition(("failed",), "queued"))
    def retry(self, *, keep_exception: bool = False, save: bool = True) -> None:
        """Queue a failed job again; the exception stays visible only if it is to be kept."""
        claims.release(self)
        self.completed_at = None
        self.interruptions = 0
        if not keep_exception:
            self.exception = None

    @event(
        Transition(("queued",), "paused"),
        Transition(("running",), "paused", "is_pausable", "a running job must be `pausable`"),
    )
    def pause(self, *, save: bool = True) -> None:
        """Hold a job back until it is resumed."""
        claims.release(self)
        self.completed_at = clock.now()

    @event(Transition(("paused",), "queued"))
    def resume(self, *, save: bool = True) -> None:
        """Let a paused job go on."""
        self.completed_at = None

    @event(Transition(("queued", "running", "paused", "failed"), "aborted"), validates=False)
    def abort(self, *, save: bool = True) -> None:
        """Give a job up for good."""
        claims.release(self)
        self.completed_at = clock.now()

    @event(
        Transition(("running",), "queued", "worker_on_server", "its worker is on another server"),
        validates=False,
    )
    def requeue(
        self, server_name: str | None = None, *, reason: str | None = None, save: bool = True
    ) -> None:
        """Take a running job back from its worker; with a server's name only from that one."""
        claims.release(self)
        self.started_at = None

    @event(Transition(("queued",), "queued"), validates=False)
    def run_now(self, *, save: bool = True) -> None:
        """Let a scheduled job start as soon as a worker is free."""
        self.run_at = None

    def recover(
        self, crashed: str | None, reason: str, crash_limit: int
    ) -> Literal["requeued", "failed"] | None:
        """Take the job back from a worker that is gone; called by whoever notices first.

        Args:
            crashed: how the worker process ended, if it did so while it performed this job.
            reason: for the history.
            crash_limit: crashes after which the job is failed with `WorkerCrashed`.

        Returns:
            what became of it; None if somebody else was first.
        """
        return claims.take_back(self, crashed, reason, crash_limit)

    # --- questions ---------------------------------------------------------------------------

    @property
    def is_queued(self) -> bool:
        return self.state == "queued"

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    @property
    def is_completed(self) -> bool:
        return self.state == "completed"

    @property
    def is_failed(self) -> bool:
        return self.state == "failed"

    @property
    def is_paused(self) -> bool:
        return self.state == "paused"

    @property
    def is_aborted(self) -> bool:
        return self.state == "aborted"

    @property
    def is_scheduled(self) -> bool:
        """Whether the job is queued for a time that has not come."""
        return self.is_queued and self.run_at is not None and self.run_at > clock.now()

    @property
    def is_expired(self) -> bool:
        """Whether the job was to start before a time that has passed."""
        return self.expires_at is not None and self.expires_at < clock.now()

    @property
    def is_sleeping(self) -> bool:
        """Whether the job is running and nobody works on it."""
        return self.is_running and self.worker_count == 0

    @property
    def scheduled_at(self) -> datetime:
        """When this run was due: `run_at`, or else when the job was created."""
        return self.run_at or self.created_at

    @property
    def worker_count(self) -> int:
        """How many workers are at it."""
        return len(self.worker_names)

    @property
    def worker_names(self) -> list[str]:
        return [self.worker_name] if self.is_running and self.worker_name else []

    @property
    def server_name(self) -> str | None:
        """The server part of the worker's name."""
        return self.worker_name.rpartition(":")[0] if self.worker_name else None

    def is_pausable(self, **_: Any) -> bool:
        return self.pausable

    def worker_on_server(self, server_name: str | None = None, **_: Any) -> bool:
        """Tell whether the job's worker is on a server; on any, if no name is given."""
        if server_name is None:
            return True
        worker = self.worker_name or ""
        return bool(worker) and (worker == server_name or worker.startswith(server_name + ":"))

    @property
    def history(self) -> list[HistoryEntry]:
        """The last changes of state, oldest first."""
        record = self._record
        return [HistoryEntry.load(each) for each in (*record.history, *record.unsaved)]

    # --- time and text -----------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long the job ran, runs, or waits, in seconds."""
        start = self.started_at or self.created_at
        return ((self.completed_at or clock.now()) - start).total_seconds()

    @property
    def duration(self) -> str:
        """`seconds` in words, such as `1m 30s`."""
        return present.duration_text(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return all fields that mean something in the present state, id first.

        It is what is shown of a job: encrypted fields are hidden in it.
        """
        return present.shown_fields(self)

    def status(self, time_zone: str | tzinfo = "UTC") -> dict[str, Any]:
        """Return what the web interface shows: `as_dict`, times as text in a zone, ids as text.

        Args:
            time_zone: a name such as `America/New_York`, or a tzinfo.
        """
        zone = pendulum.timezone(time_zone) if isinstance(time_zone, str) else time_zone
        values = self.as_dict()
        values.pop("seconds")
        return {name: present.plain(value, zone) for name, value in values.items()}

    @classmethod
    def underscore_name(cls) -> str:
        """Return the class's name as `data_study`, without a trailing Job."""
        return present.underscored(re.sub(r"(?<=.)Job$", "", cls.__name__))

    @classmethod
    def human_name(cls) -> str:
        """Return the class's name as `Data Study`."""
        return cls.underscore_name().replace("_", " ").title()

    @classmethod
    def collective_name(cls) -> str:
        """Return the class's name as `data_studies`."""
        return present.plural(cls.underscore_name())

    # --- restarting --------------------------------------------------------------------------

    def restarted(self, **overrides: Any) -> Self:
        """Return a new job of this class with the fields that are marked `copy_on_restart`."""
        values = values_of(self)
        copied = {
            name: copy.deepcopy(values[name])
            for name, made in self.__fields__.items()
            if made.copy_on_restart
        }
        return type(self)(**{**copied, **overrides})

    def create_restart(self, **overrides: Any) -> Self | None:
        """Store a new job as `restarted` makes it; None if this one has expired."""
        if self.is_expired:
            self.logger.info("not restarted: expired")
            return None
        return self.restarted(**overrides).save()

    def stored_value(self, name: str, default: Any = None) -> Any:
        """Return a field's value as it was stored when this object was loaded or saved, in BSON."""
        return (self._record.stored or {}).get(self.__fields__[name].key, default)

    def edited_meanwhile(self) -> dict[str, Any]:
        """Return the copied fields that others have changed in the store, with their new values."""
        known = self._record.stored
        stored = None if known is None else self.collection().find_one({"_id": self.id})
        if known is None or stored is None:
            return {}
        there = values_of(type(self).from_document(stored))
        return {
            name: there[name]
            for name, made in self.__fields__.items()
            if made.copy_on_restart and stored.get(made.key) != known.get(made.key)
        }

    # --- adding to a change of state that is under way ---------------------------------------

    def follow_with(self, event: str, *, otherwise: bool = False, **arguments: Any) -> None:
        """Let another event follow the present one, in the same write.

        For callbacks: `@before("fail") def again(self): self.follow_with("retry")` leaves no
        moment in which the job is stored as failed.

        Args:
            event: its name.
            otherwise: only if no other event follows, whichever callback came first.
            arguments: of the event.
        """
        change = self._change_under_way("follow_with")
        follow_up = Change(self, self.event_called(event), arguments)
        follow_up.otherwise = otherwise
        change.follow_ups.append(follow_up)

    def create_with(self, document: Document, amend: Callable[[], bool] | None = None) -> None:
        """Store another document in the same step as the present change, or neither.

        Args:
            amend: called within that step, before it writes: to bring the document into line with
                what others have stored by then. False leaves it out.
        """
        change = self._change_under_way("create_with")
        change.companions.append(document)
        if amend is not None:
            change.amends[document] = amend

    def _change_under_way(self, method: str) -> Change:
        change: Change | None = self._record.change
        if change is None:
            raise RuntimeError(
                f"{method} belongs into a before callback of an event: "
                "no change of state is under way here"
            )
        return change

    @property
    def failing_with(self) -> BaseException | str | None:
        """The error or reason of the `fail` that is under way; for callbacks of `fail`."""
        change: Change | None = self._record.change
        return change.arguments.get("reason") if change is not None else None

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

    def removed_by(self, event: str) -> bool:
        """Tell whether an event removes the job once it is made."""
        return event == "complete" and self.destroy_on_complete

    # --- scopes ------------------------------------------------------------------------------

    @classmethod
    def _query(cls) -> JobQuery[Self]:
        return JobQuery(cls)

    @classmethod
    def where(cls, filter: Filter | None = None, /, **values: Any) -> JobQuery[Self]:
        return cls._query().where(filter, **values)

    @classmethod
    def all(cls) -> JobQuery[Self]:
        return cls._query()

    @classmethod
    def queued(cls) -> JobQuery[Self]:
        return cls._query().queued()

    @classmethod
    def running(cls) -> JobQuery[Self]:
        return cls._query().running()

    @classmethod
    def completed(cls) -> JobQuery[Self]:
        return cls._query().completed()

    @classmethod
    def failed(cls) -> JobQuery[Self]:
        return cls._query().failed()

    @classmethod
    def paused(cls) -> JobQuery[Self]:
        return cls._query().paused()

    @classmethod
    def aborted(cls) -> JobQuery[Self]:
        return cls._query().aborted()

    @classmethod
    def scheduled(cls) -> JobQuery[Self]:
        return cls._query().scheduled()

    @classmethod
    def queued_now(cls) -> JobQuery[Self]:
        return cls._query().queued_now()

    @classmethod
    def counts_by_state(cls) -> dict[str, int]:
        """Count the jobs of this class by state; only states that occur.

        With queued ones it also has `queued_now` and `scheduled`, where they are not 0.
        """
        store = context.current().store
        counts = store.count_by(cls.collection_name, "state", cls._query().filter())
        found = {state: counts[state] for state in STATES if counts.get(state)}
        if found.get("queued"):
            scheduled = cls.scheduled().count()
            now = found["queued"] - scheduled
            found |= {k: v for k, v in (("queued_now", now), ("scheduled", scheduled)) if v > 0}
        return found

    @classmethod
    def pause_all(cls) -> int:
        """Pause every running job that can be; return how many."""
        return change_each(cls.running(), cls.pause)

    @classmethod
    def resume_all(cls) -> int:
        """Resume every paused job; return how many."""
        return change_each(cls.paused(), cls.resume)

    # --- the document ------------------------------------------------------------------------

    def before_event(self) -> tuple[int, str | None]:
        return self.claim_number, self.worker_name

    def history_entry(
        self, event: str, arguments: Mapping[str, Any], before: tuple[int, str | None]
    ) -> dict[str, Any]:
        claim, worker = before
        reason, worker = arguments.get("reason"), self.worker_name or worker
        if isinstance(reason, BaseException):
            reason = f"{type(reason).__name__}: {self.exception and self.exception.message}"
        elif reason is not None:
            reason = str(reason)
        return history.entry(event, self.state, clock.now(), worker, claim, reason)

    def was_changed(self) -> None:
        claims.released(self)

    def is_observed(self) -> bool:
        return context.current().plugins.listens("state_changed")

    def tell_observers(self, event: str, source: str, target: str) -> None:
        context.current().plugins.notify(
            "state_changed", job=self, event=event, source=source, target=target
        )

    def change_guard(self, changed: Iterable[str]) -> dict[str, Any]:
        """Return the filter of a change of state.

        Without a claim, what only events change, such as `failure_count`, must be as it was too:
        the state may have gone away and come back meanwhile.
        """
        guard = super().change_guard(changed)
        if self._record.claim is None:
            stored = self._record.stored or {}
            guard |= {key: stored.get(key) for key in changed if key in _SET_BY_EVENTS}
        return guard

    @classmethod
    def _unknown_class(cls, name: str) -> type[Document]:
        from rocketjob.jobs.unknown import UnknownJob

        return UnknownJob

    @classmethod
    def _stand_in(cls, stored: Stored, error: Exception) -> Any:
        from rocketjob.jobs.unknown import UnknownJob

        return UnknownJob.of(stored, error)

    def write_lost(self) -> RocketJobError:
        if self._record.claim is not None:
            return ClaimLost(f"{self!r}: the claim belongs to somebody else now; nothing written")
        return super().write_lost()

    def reload(self) -> Self:
        """Read the job again; what was not saved is lost.

        One that was removed when it completed becomes completed, as long as that is known: for ten
        minutes after.

        Raises:
            JobExpired: it is gone, and its `expires_at` has passed.
            NotFound: it is gone otherwise.
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
        claims.release(self)
        self.percent_complete = 100
        return self

    def note_removal(self, event: str) -> None:
        if event == "complete":
            completions.note([self.id])


_SET_BY_EVENTS = frozenset(
    ("started_at", "completed_at", "failure_count", "interruptions", "worker_name", "claimed_by")
)


def job_class(name: str) -> type[Job]:
    """Return the loaded job class of this name.

    Raises:
        UnknownJobClass: none is loaded; the message names the nearest.
    """
    import difflib

    found = lookup(name, Job)
    if found is None:
        known = [cls.__name__ for cls in loaded_classes(Job)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "import its module, or name it in `app`"
        raise UnknownJobClass(f"No job class {name} is loaded here; {hint}")
    return found
