"""States, events and guards; a change of state as one guarded write.

An event is a method marked with `@event`: its body is the event's own effect, what surrounds it
is here. The order is: guard, effect, befores, validation, save callbacks, the write, afters. A
change that is refused leaves the object as it was, and the write is made only if the stored state
is still the one that the change started from.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import attrs

from rocketjob import application, clock, history
from rocketjob.callbacks import Frame
from rocketjob.errors import InvalidTransition, is_duplicate_key
from rocketjob.store import Write

if TYPE_CHECKING:
    from rocketjob.document import Document
    from rocketjob.job import Job

P = ParamSpec("P")
R = TypeVar("R")
MARK = "__rocketjob_event__"


@attrs.frozen
class Transition:
    """From one of `sources` to `target`, if the job's method named `guard` agrees.

    `because` says in a message why the guard refused.
    """

    sources: tuple[str, ...]
    target: str
    guard: str | None = None
    because: str | None = None


@attrs.frozen(eq=False)
class Event:
    """Something that can happen to a job."""

    name: str
    transitions: tuple[Transition, ...]
    effect: Callable[..., Any]
    validates: bool = True

    def choose(self, job: Job, arguments: dict[str, Any]) -> Transition:
        """Return the transition to make.

        Raises:
            InvalidTransition: none leads from the job's state, or the guards refused.
        """
        refused = None
        for transition in self.transitions:
            if job.state not in transition.sources:
                continue
            if transition.guard is None or getattr(job, transition.guard)(**arguments):
                return transition
            refused = transition.because or transition.guard
        raise InvalidTransition(self.name, job.state, job.allowed_events(), refused)


def event(
    *transitions: Transition, validates: bool = True
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a method an event of its class; its body sets fields, not the state.

    Guards are judged in the order given and get the event's keyword arguments. A subclass or
    mixin that marks a method of the same name replaces the event; callbacks stay attached.

    Args:
        validates: whether the job must be valid for the change to be saved.
    """

    def decorate(effect: Callable[P, None]) -> Callable[P, None]:
        made = Event(effect.__name__, transitions, effect, validates)  # type: ignore[attr-defined]
        names = list(inspect.signature(effect).parameters)[1:]

        @functools.wraps(effect)
        def fire(self: Any, *args: Any, save: bool = True, **kwargs: Any) -> None:
            change = Change(self, made, {**dict(zip(names, args, strict=False)), **kwargs})
            change.prepare(save)
            if save:
                change.write()
            change.finish()

        setattr(fire, MARK, made)
        return fire  # type: ignore[return-value]

    return decorate


def events_of(cls: type) -> dict[str, Event]:
    """Return the events of a class by name; those nearer to the class win."""
    found: dict[str, Event] = {}
    for base in reversed(cls.__mro__):
        for name, value in base.__dict__.items():
            marked = getattr(value, MARK, None) if callable(value) else None
            if marked is not None:
                found[name] = marked
    return found


class Change:
    """One change of a job's state, in steps, so that the write can be made in a group.

    While it is under way a callback can add to it, by methods of the job: `follow_with` another
    event, and `create_with` a document that is stored in the same step or not at all.
    """

    def __init__(self, job: Job, event: Event, arguments: dict[str, Any] | None = None) -> None:
        self.job, self.event = job, event
        self.arguments = arguments or {}
        self.source = self.target = job.state
        self.companions: list[Document] = []
        self.follow_ups: list[Change] = []
        self.deletes = False
        self._frames: list[Frame] = []
        self._snapshot: dict[str, Any] = {}
        self._entries: list[dict[str, Any]] = []
        self._changed: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._outer: Change | None = None
        self._callbacks = True

    # --- before the write --------------------------------------------------------------------

    def prepare(self, save: bool = True, callbacks: bool = True) -> None:
        """Judge the guards, run the effect and the befores, and validate.

        Args:
            save: whether the change will be written.
            callbacks: False leaves them out, where a failure must be stored whatever they do.

        Raises:
            InvalidTransition: and the object is as it was.
            ValidationError: likewise.
        """
        transition = self.event.choose(self.job, self.arguments)
        self._snapshot = {**self.job.__dict__, "_assigned": set(self.job._assigned)}
        self._outer = self.job.__dict__.get("_change")
        self._callbacks = callbacks
        self.job.__dict__["_change"] = self
        try:
            self._apply(transition)
            for follow_up in self.follow_ups:
                follow_up._apply(follow_up.event.choose(self.job, follow_up.arguments))
            if save:
                self._check()
        except BaseException as error:
            self.rollback(error)
            raise
        finally:
            self._restore_outer()

    def _apply(self, transition: Transition) -> None:
        job = self.job
        self.source = job.state
        claim, worker = job.claim_number, job.worker_name
        self.event.effect(job, **self.arguments)
        self._enter("", job)
        if job.state == self.source:  # else a callback went another way, and that holds
            job.state = transition.target
        self.target = job.state
        worker = job.worker_name or worker
        self._entries.append(
            history.entry(self.event.name, self.target, clock.now(), worker, claim, self._reason())
        )

    def _reason(self) -> str | None:
        reason = self.arguments.get("reason")
        if isinstance(reason, BaseException):
            return f"{type(reason).__name__}: {self.job.exception and self.job.exception.message}"
        return None if reason is None else str(reason)

    def _enter(self, event: str, document: Any) -> None:
        chain = document.chain(event or self.event.name)
        if chain and self._callbacks:
            frame = Frame(chain, document)
            self._frames.append(frame)
            frame.enter()

    def _check(self) -> None:
        job = self.job
        if self.event.validates and not self._deletes_at_once():
            job.validate()
        self._enter("save", job)
        if job.is_new:
            self._enter("create", job)
        for companion in self.companions:
            self._enter("save", companion)
            self._enter("create", companion)
        self._changed = job._changes()
        self.deletes = not job.is_new and self._deletes_at_once()

    def _deletes_at_once(self) -> bool:
        """Tell whether nothing needs the document any more once the change is made."""
        job = self.job
        return (
            job.removed_by(self.event.name)
            and self.target == self.event.transitions[0].target
            and not (job.chain(self.event.name).has_afters and self._callbacks)
            and not job.chain("destroy")
        )

    def rollback(self, error: BaseException | None = None) -> None:
        """Put the object back as it was before the change."""
        for follow_up in reversed(self.follow_ups):
            _unwind(follow_up._frames, error)
        _unwind(self._frames, error)
        self.job.__dict__.clear()
        self.job.__dict__.update(self._snapshot)
        self._restore_outer()

    def _restore_outer(self) -> None:
        if self._outer is None:
            self.job.__dict__.pop("_change", None)
        else:
            self.job.__dict__["_change"] = self._outer

    # --- the write ---------------------------------------------------------------------------

    def guarded(self) -> Write:
        """Return the write of this change, on condition that nobody changed the state meanwhile."""
        job = self.job
        stored = job._stored or {}
        condition = {**job._identity(), "state": stored.get("state", self.source)}
        if self.deletes:
            return Write(condition, None)
        changed, removed = self._changed
        update: dict[str, Any] = {"$push": history.push(self.entries())}
        if changed:
            update["$set"] = changed
        if removed:
            update["$unset"] = removed
        return Write(condition, update)

    def entries(self) -> list[dict[str, Any]]:
        """Return what this change adds to the job's history."""
        return [*self._entries, *(e for f in self.follow_ups for e in f._entries)]

    def write(self) -> None:
        """Make the write now.

        Raises:
            StateConflict: somebody else changed the stored state; the object is as it was.
            NotFound: the job is not stored any more; likewise.
        """
        job = self.job
        try:
            matched = self._write_with_companions() if self.companions else self._write_alone()
        except BaseException as error:
            self.rollback(error)
            if isinstance(error, Exception):
                job._raise_duplicate(error)
            raise
        if not matched:
            self.rollback()
            raise job._lost()
        self.stored()

    def _write_alone(self) -> bool:
        job = self.job
        if job.is_new:
            job.collection().insert_one(job.to_document(self.entries()))
            return True
        return application.current().store.write_many(job.collection_name, [self.guarded()])[0]

    def _write_with_companions(self) -> bool:
        """Store the change and its companions in one step.

        A companion that a unique index refuses is left out: another process was first, or two
        plugins brought the same.
        """
        while self.companions:
            inserting: Document | None = None
            try:
                with application.current().store.transaction():
                    if not self._write_alone():
                        return False
                    for companion in self.companions:
                        inserting = companion
                        companion.collection().insert_one(companion.to_document())
                return True
            except Exception as error:
                if inserting is None or not is_duplicate_key(error):
                    raise
                self.job.logger.info("already there", document=repr(inserting))
                self.companions.remove(inserting)
        return self._write_alone()

    def stored(self) -> None:
        """Note on the object that the write was made."""
        job = self.job
        if job.is_new:
            job._was_stored(job.to_document(self.entries()))
        elif not self.deletes:
            job._was_updated(*self._changed)
            job._add_history(self.entries())
        for companion in self.companions:
            companion._was_stored(companion.to_document())
        job._claim_ended()

    def needs_settling(self) -> bool:
        """Tell whether anything is left for `finish` to do once the write was made."""
        return (
            any(change._frames for change in (self, *self.follow_ups))
            or application.current().plugins.listens("state_changed")
            or (not self.deletes and self.job.removed_by(self.event.name))
        )

    # --- after the write ---------------------------------------------------------------------

    def finish(self) -> None:
        """Tell the observers, run the afters, and remove a job that is not to be kept."""
        job = self.job
        if job.is_new and job._stored is None:
            job._add_history(self.entries())
        plugins = application.current().plugins if not job.is_new else None
        if plugins is not None and plugins.listens("state_changed"):
            for change in (self, *self.follow_ups):
                plugins.notify(
                    "state_changed",
                    job=job,
                    event=change.event.name,
                    source=change.source,
                    target=change.target,
                )
        for change in (self, *self.follow_ups):
            for frame in reversed(change._frames):
                frame.leave()
        if not self.deletes and not job.is_new and job.removed_by(self.event.name):
            if job.state == self.target:
                job.destroy()


def _unwind(frames: list[Frame], error: BaseException | None) -> None:
    """Close the callbacks that are open; what they raise now would only hide the real error."""
    for frame in reversed(frames):
        with contextlib.suppress(BaseException):
            frame.unwind(error or RuntimeError("the change of state was given up"))
    frames.clear()
