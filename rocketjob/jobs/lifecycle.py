"""The states of a job, the events that lead from one to another, and who is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bson import ObjectId

from rocketjob.base import acts, clock
from rocketjob.base.errors import ClaimLost, RocketJobError
from rocketjob.jobs import beside, changed, claims, completions, enqueuing, origin, removal
from rocketjob.jobs.exception import JobException
from rocketjob.model.document import Document
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import assign
from rocketjob.states import history
from rocketjob.states.history import HistoryEntry
from rocketjob.states.machine import Change, Transition, event
from rocketjob.states.stateful import Stateful
from rocketjob.states.transitions import AllBut, Event
from rocketjob.store import Also, Filter, Insert, context

_SET_BY_EVENTS = frozenset(
    ("started_at", "completed_at", "failure_count", "interruptions", "worker_name", "claimed_by")
)

_OF_AN_END = ("state_changed", "transition_writes", "job_removed")  # hooks about one job


class Lifecycle(Stateful, abstract=True):
    """What `Job` has of states: its events, the questions about them, what callbacks can add."""

    pausable: ClassVar[bool] = False
    """Whether a running job can be paused; its claim is then given up, and resuming queues it."""

    if TYPE_CHECKING:  # of `Job`
        joinable: ClassVar[Filter | None] = None
        run_at: datetime | None = read_only_field()
        expires_at: datetime | None = read_only_field()
        created_at: datetime = read_only_field()
        destroy_on_complete: Any = read_only_field()
        started_at: datetime | None = read_only_field()
        completed_at: datetime | None = read_only_field()
        failure_count: int = read_only_field()
        worker_name: str | None = read_only_field()
        claimed_by: str | None = read_only_field()
        claim_number: int = read_only_field()
        percent_complete: int = read_only_field()
        throttled_by: str | None = read_only_field()
        interruptions: int = read_only_field()
        exception: JobException | None = read_only_field()
        created_in: ObjectId | None = read_only_field()
        created_for: str | None = read_only_field()

    # --- events ------------------------------------------------------------------------------

    @event(Transition(("queued",), "running"))
    def start(self, worker_name: str | None = None, *, save: bool = True) -> None:
        """Start a queued job; a server does it by claiming."""
        if self.throttled_by is not None:
            claims.forget_hold(self)
        self.started_at = clock.now()
        if worker_name is not None:
            self.worker_name = worker_name

    @event(Transition(("running",), "completed"))
    def complete(self, *, save: bool = True) -> None:
        """End a running job well; it is removed if `destroy_on_complete`."""
        claims.clear(self)
        # All at once: every job comes here.
        assign(self, completed_at=clock.now(), percent_complete=100, exception=None)

    @event(Transition(AllBut(("completed", "failed", "aborted")), "failed"), validates=False)
    def fail(
        self,
        reason: BaseException | str | None = None,
        *,
        worker_name: str | None = None,
        save: bool = True,
    ) -> None:
        """Fail a job, with an exception or a reason in words."""
        self.exception = JobException.of(reason, worker_name or self.worker_name)
        claims.clear(self)
        self.completed_at = clock.now()
        self.failure_count += 1

    @event(Transition(("failed",), "queued"))
    def retry(self, *, keep_exception: bool = False, save: bool = True) -> None:
        """Queue a failed job again; the exception stays visible only if it is to be kept."""
        claims.clear(self)
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
        claims.clear(self)
        self.completed_at = clock.now()

    @event(Transition(("paused",), "queued"))
    def resume(self, *, save: bool = True) -> None:
        """Let a paused job go on."""
        self.completed_at = None

    @event(Transition(AllBut(("completed", "aborted")), "aborted"), validates=False)
    def abort(self, *, reason: str | None = None, save: bool = True) -> None:
        """Give a job up for good, for a reason that its history keeps."""
        claims.clear(self)
        self.completed_at = clock.now()

    @event(
        Transition(("running",), "queued", "worker_on_server", "its worker is on another server"),
        validates=False,
    )
    def requeue(
        self, server_name: str | None = None, *, reason: str | None = None, save: bool = True
    ) -> None:
        """Take a running job back from its worker; with a server's name only from that one."""
        claims.clear(self)
        self.started_at = None

    @event(
        Transition(("running",), "queued", "is_performed_at_once", "it is performed in parts"),
        validates=False,
    )
    def snooze(
        self, until: datetime | None = None, *, reason: str | None = None, save: bool = True
    ) -> None:
        """Queue a running job for later; a worker does it when `perform` raises `Snooze`."""
        claims.clear(self)
        self.started_at = None
        self.run_at = until

    @event(Transition(("queued",), "queued"), validates=False)
    def run_now(self, *, save: bool = True) -> None:
        """Let a scheduled job start as soon as a worker is free."""
        self.run_at = None

    def recover(
        self, crashed: str | None, reason: str, crash_limit: int
    ) -> Literal["requeued", "failed"] | None:
        """Reclaim the job from a worker that is gone; called by whoever notices first.

        Args:
            crashed: how the worker process ended, if it did so while it performed this job.
            reason: for the history.
            crash_limit: crashes after which the job is failed with `WorkerCrashed`.

        Returns:
            what became of it; None if somebody else was first.
        """
        return claims.reclaim(self, crashed, reason, crash_limit)

    # --- questions ---------------------------------------------------------------------------

    def is_renewable(self) -> bool:
        # A running job that is not ours is also with workers that may have the code of before.
        return self._record.claim is not None or self._stored_state() != "running"

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

    def is_pausable(self, **_: Any) -> bool:
        return self.pausable

    def is_performed_at_once(self, **_: Any) -> bool:
        return self.joinable is None

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

    def worker_on_server(self, server_name: str | None = None, **_: Any) -> bool:
        """Return whether the job's worker is on a server; on any, if no name is given."""
        if server_name is None:
            return True
        worker = self.worker_name or ""
        return bool(worker) and (worker == server_name or worker.startswith(server_name + ":"))

    @property
    def history(self) -> list[HistoryEntry]:
        """The last changes of state, oldest first; without what no version has written."""
        record = self._record
        entries = (*record.history, *record.unsaved)
        return [HistoryEntry.load(each) for each in entries if HistoryEntry.is_stored_as(each)]

    def removed_by(self, event: str) -> bool:
        """Return whether an event removes the job once it is made."""
        return event == "complete" and self.destroy_on_complete

    def is_just_removed(self, event: Event) -> bool:
        cls, plugins = type(self), context.current().plugins
        return (
            event is _COMPLETE
            and self._record.claim is not None
            and not (acts.begun and acts.present() is not None)
            and not (cls.runs_code("complete") or cls.chain("destroy"))
            and not plugins.listens_to_any(_OF_AN_END, cls)
            and self.removed_by("complete")
        )

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

        One that a plugin refuses in `before_enqueue` is left out, with an error in the log.

        Args:
            amend: called within that step, before it writes: to bring the document into line with
                what others have stored by then. False leaves it out.
        """
        change = self._change_under_way("create_with")
        if isinstance(document, Lifecycle):
            origin.note(document, self)
        if not enqueuing.is_let_in(document, beside=self):
            return
        change.companions.append(document)
        if amend is not None:
            change.amends[document] = amend

    def clear_claim(self) -> None:
        """Take the job from its worker, for the effect of an event that leads away from running.

        What the worker makes of it afterwards is refused with `ClaimLost`.
        """
        claims.clear(self)

    def _change_under_way(self, method: str) -> Change:
        change: Change | None = self._record.change
        if change is None:
            raise RuntimeError(
                f"{method} must be called in a before callback of an event: "
                "no change of state is under way here"
            )
        return change

    @property
    def failing_with(self) -> BaseException | str | None:
        """The error or reason of the `fail` that is under way; for callbacks of `fail`."""
        change: Change | None = self._record.change
        return change.arguments.get("reason") if change is not None else None

    # --- how a change is written and told ----------------------------------------------------

    def before_event(self) -> tuple[int, str | None]:
        return self.claim_number, self.worker_name

    def history_entry(
        self, event: str, arguments: Mapping[str, Any], before: tuple[int, str | None]
    ) -> dict[str, Any]:
        claim, worker = before
        reason, worker, by = arguments.get("reason"), self.worker_name or worker, self._record.by
        if acts.begun and (act := acts.present()) is not None:
            reason, by = act.reason if reason is None else reason, by or act.by
        if isinstance(reason, BaseException):
            reason = f"{type(reason).__name__}: {self.exception and self.exception.message}"
        elif reason is not None:
            reason = str(reason)
        return history.entry(event, self.state, clock.now(), worker, claim, reason, by)

    def was_changed(self, source: str) -> None:
        if self._record.claim is not None:
            claims.forget_cleared(self)
        elif source == "running" and not self.is_running:  # and not by whoever performs it
            self._tell_workers()

    def _tell_workers(self) -> None:
        if self.claim_number:
            context.current().tell_workers(self)

    def note_removal(self, event: str) -> None:
        if event == "complete":
            completions.note([self.id])

    def is_observed(self) -> bool:
        return context.current().plugins.listens("state_changed", type(self))

    def stored_beside(self, event: str, source: str, target: str) -> Sequence[Insert | Also]:
        return beside.stored_beside(self, event, source, target)

    def tell_observers(self, event: str, source: str, target: str) -> None:
        context.current().plugins.notify(
            "state_changed", job=self, event=event, source=source, target=target
        )

    def tell_changed(self, change: Change) -> None:
        changed.tell([change])

    def after_created(self) -> None:
        removal.tell_created(self)

    def after_removed(self) -> None:
        if self.is_running and self._record.claim is None:
            self._tell_workers()
        removal.tell_removed(self)

    def removal_is_observed(self) -> bool:
        return removal.is_told(type(self))

    def was_removed_by(self, event: str) -> None:
        if removal.is_told(type(self)):
            with removal.because(self, removal.BY_EVENT.get(event, event)):
                self.after_removed()

    def remove_after(self, event: str) -> None:
        with removal.because(self, removal.BY_EVENT.get(event, event)):
            self.destroy()

    def change_guard(self, changed: Iterable[str]) -> dict[str, Any]:
        """Return the filter of a change of state.

        Without a claim, what only events change, such as `failure_count`, must be as it was too:
        the state may have changed and changed back in the meantime.
        """
        guard = super().change_guard(changed)
        if self._record.claim is None:
            stored = self._record.stored or {}
            guard |= {key: stored.get(key) for key in changed if key in _SET_BY_EVENTS}
        return guard

    def write_lost(self) -> RocketJobError:
        if self._record.claim is not None:
            return ClaimLost(f"{self!r}: the claim belongs to somebody else now; nothing written")
        return super().write_lost()


_COMPLETE = Lifecycle.__events__["complete"]  # a class may have another one of its own
