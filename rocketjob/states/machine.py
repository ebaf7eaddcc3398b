"""A change of state as one guarded write, for any document that declares states and events.

An event is a method marked with `@event`: its body is the event's own effect, what surrounds it
is here. The order is: guard, effect, befores, validation, save callbacks, the write, afters. A
change that is refused leaves the object as it was, and the write is made only if the stored state
is still the one that the change started from.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from rocketjob.base import acts
from rocketjob.base.deprecation import warn
from rocketjob.base.errors import StateConflict
from rocketjob.base.functions import refuse_pending, refuse_unawaited
from rocketjob.base.log import Logger
from rocketjob.model import deeds
from rocketjob.model.bulk import raise_refusal
from rocketjob.model.callbacks import Frame, leave_all, unwind_all
from rocketjob.model.record import Snapshot, record_of
from rocketjob.states import history
from rocketjob.states.transitions import MARK, Event, Transition, events_of
from rocketjob.store import Also, Committed, Insert, Unit, Write, context

if TYPE_CHECKING:
    from rocketjob.model.document import Document
    from rocketjob.states.stateful import Stateful

log = Logger("rocketjob.states")
__all__ = ["Change", "Event", "Transition", "event", "events_of"]

P = ParamSpec("P")
R = TypeVar("R")
TRIES = 10  # of an event of a document that others change too


def event(
    *transitions: Transition, validates: bool = True
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a method an event of its class; its body sets fields, not the state.

    Guards are judged in the order given and get the event's keyword arguments. A subclass or
    mixin that marks a method of the same name replaces the event; callbacks stay attached.

    Args:
        validates: whether the document must be valid for the change to be saved.
    """

    def decorate(effect: Callable[P, R]) -> Callable[P, R]:
        refuse_unawaited(effect, "@event")
        declared = Event(effect.__name__, transitions, effect, validates)
        names = list(inspect.signature(effect).parameters)[1:]

        @functools.wraps(effect)
        def fire(self: Any, *args: Any, save: bool = True, **kwargs: Any) -> Any:
            arguments = {**dict(zip(names, args, strict=False)), **kwargs}
            if save and self.reads_before_events:
                return _fire_on_what_is_stored(self, declared, arguments)
            return _fire(self, declared, arguments, save)

        setattr(fire, MARK, declared)
        return fire  # type: ignore[return-value]

    return decorate


def _fire(document: Any, event: Event, arguments: dict[str, Any], save: bool = True) -> Any:
    change = Change(document, event, arguments)
    change.prepare(save)
    if save:
        change.write()
    change.finish()  # in memory it tells nobody and removes nothing
    return change.value


def _fire_on_what_is_stored(document: Stateful, event: Event, arguments: dict[str, Any]) -> Any:
    for tries in range(1, TRIES + 1):
        document.reload()
        try:
            return _fire(document, event, arguments)
        except StateConflict:
            if tries == TRIES:
                raise


class Change:
    """One change of a document's state, in steps, so that the write can be made in a group.

    While it is under way a callback can add to it: another event that follows, and a document that
    is stored in the same step or not at all.

    Attributes:
        document: whose state changes.
        value: what the event's method returned.
        beside: what those who observe have stored with it.
        created: the documents that were stored with it for the first time.
    """

    def __init__(
        self, document: Any, event: Event, arguments: dict[str, Any] | None = None
    ) -> None:
        self.document: Any = document
        self.event = event
        self.value: Any = None
        self.arguments = arguments or {}
        self.source = self.target = document.state
        self.companions: list[Document] = []
        self.beside: Sequence[Insert | Also] = ()
        self.created: Sequence[Document] = ()
        self.amends: dict[Document, Callable[[], bool]] = {}
        self.follow_ups: list[Change] = []
        self.otherwise = False
        self.deletes = False
        self._frames: list[Frame] = []
        self._frames_of: dict[Document, list[Frame]] = {}
        self._inserts: dict[Document, dict[str, Any]] = {}
        self._saves = True
        self._snapshot: Snapshot | None = None
        self._entries: list[dict[str, Any]] = []
        self._changed: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._outer: Change | None = None
        self._callbacks = True
        self.context: contextvars.Context | None = None  # for what comes after the write

    @property
    def job(self) -> Any:
        """The document, under its old name."""
        warn("Change.job", "Change.document")
        return self.document

    def was(self, name: str) -> Any:
        """Return the value that a field had before the change, once that was prepared."""
        return None if self._snapshot is None else self._snapshot.values.get(name)

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
        transition = self.event.choose(self.document, self.arguments)
        self._callbacks, self._saves = callbacks, save
        is_plain = save and callbacks and self.document.is_just_removed(self.event)
        record = record_of(self.document)
        self._snapshot = record.snapshot(self.document) if is_plain else self._picture()
        self._outer, record.change = record.change, self
        try:
            if is_plain:
                return self._remove(transition)
            self._apply(transition)
            if self.follow_ups:
                self._follow()
            if save:
                self._check()
        except BaseException as error:
            self.rollback(error)
            raise
        finally:
            self._restore_outer()

    def _remove(self, transition: Transition) -> None:
        """Prepare a removal in which nobody has a part, as the rest here would, but faster."""
        document = self.document
        before = document.before_event()
        self.event.effect(document, **self.arguments)
        document.state = self.target = transition.target
        if entry := document.history_entry(self.event.name, self.arguments, before):
            self._entries.append(entry)
        self.deletes = True

    def _follow(self) -> None:
        """Make the events that follow; those for lack of another come last, and may be dropped."""
        followed = []
        for follow_up in sorted(self.follow_ups, key=lambda change: change.otherwise):
            if follow_up.otherwise and self.document.state != self.target:
                continue
            followed.append(follow_up)
            follow_up._apply(follow_up.event.choose(self.document, follow_up.arguments))
        self.follow_ups = followed

    def _picture(self) -> Snapshot:
        """Return what the object holds now; copies where a callback could change it in place."""
        document = self.document
        picture = record_of(document).snapshot(document)
        if self._callbacks and document.runs_code(self.event.name):
            for name in document.__layout__.mutable:
                if (value := picture.values[name]) is not None:
                    with contextlib.suppress(Exception):  # what cannot be copied is not stored
                        picture.values[name] = copy.deepcopy(value)
        return picture

    def _apply(self, transition: Transition) -> None:
        document = self.document
        self.source = document.state
        before = document.before_event()
        self.value = self.event.effect(document, **self.arguments)
        if self.value is not None:
            refuse_pending(self.value, f"the event {self.event.name}")
        self._enter("", document)
        if document.state == self.source:  # else a callback went another way, and that holds
            document.state = transition.target
        self.target = document.state
        if entry := document.history_entry(self.event.name, self.arguments, before):
            self._entries.append(entry)

    def _enter(self, event: str, document: Any) -> None:
        chain = document.chain(event or self.event.name)
        if chain and self._callbacks:
            frame = Frame(chain, document)
            self._frames.append(frame)
            self._frames_of.setdefault(document, []).append(frame)
            frame.enter()

    def _check(self) -> None:
        document, record = self.document, record_of(self.document)
        if document.is_new:
            document.before_created()
        deletes = self._deletes_at_once()
        if self.event.validates and not deletes:
            document.validate()
        self._enter("save", document)
        if document.is_new:
            self._enter("create", document)
        for companion in self.companions:
            self._enter("save", companion)
            self._enter("create", companion)
        if self._frames or not deletes:  # else nothing has run that could change it
            deletes = self._deletes_at_once()
        self.deletes = deletes and not document.is_new
        for change in (self, *self.follow_ups):
            more = document.stored_beside(change.event.name, change.source, change.target)
            if more:
                self.beside = [*self.beside, *more]
        # Its claim is all that guards the removal of a document that has one.
        if not self.deletes or record.claim is None or self.has_more or acts.begun:
            self._changed = record.changes(document)
        if acts.begun:
            self.beside = [*self.beside, *self._of_a_person()]

    def _of_a_person(self) -> Sequence[Insert | Also]:
        """Return what is stored with a change that a person makes."""
        stored = record_of(self.document).stored or {}
        changed, removed = self._changed
        keys = ["state", *(key for key in (*changed, *removed) if key in self._editable())]
        source, new = {**stored, "state": self.source}, {**stored, **changed}
        return deeds.beside(
            self.document,
            self.event.name,
            lambda: {key: source.get(key) for key in keys},
            lambda: {key: None if key in removed else new.get(key) for key in keys},
        )

    def _editable(self) -> set[str]:
        """Return the keys of what people may set; the rest of a change follows from its event."""
        return {field.key for field in self.document.fields().values() if field.user_editable}

    def _deletes_at_once(self) -> bool:
        """Return whether nothing needs the document any more once the change is made."""
        document = self.document
        return (
            document.removed_by(self.event.name)
            and self.target == self.event.transitions[0].target
            and not (document.chain(self.event.name).has_afters and self._callbacks)
            and not document.chain("destroy")
        )

    def rollback(self, error: BaseException | None = None) -> None:
        """Put the object back as it was before the change."""
        error = error or RuntimeError("the change of state was given up")
        for follow_up in reversed(self.follow_ups):
            unwind_all(follow_up._frames, error)
        unwind_all(self._frames, error)
        if self._snapshot is not None:
            record_of(self.document).restore(self.document, self._snapshot)
        self._restore_outer()

    def _restore_outer(self) -> None:
        record_of(self.document).change = self._outer

    # --- the write ---------------------------------------------------------------------------

    def guarded(self) -> Write:
        """Return the write of this change, on condition that nobody else has changed the state."""
        document = self.document
        changed, removed = self._changed
        condition = document.change_guard((*changed, *removed))
        if unless := record_of(document).unless_renewed(document):
            condition = {**unless, **condition}
        if self.deletes:
            return Write(condition, None)
        update: dict[str, Any] = {}
        if entries := [*record_of(document).unsaved, *self.entries()]:
            update["$push"] = history.push(entries)
        if changed:
            update["$set"] = changed
        if removed:
            update["$unset"] = removed
        return Write(condition, update)

    def entries(self) -> list[dict[str, Any]]:
        """Return what this change adds to the document's history."""
        if not self.follow_ups:
            return self._entries
        return [*self._entries, *(e for f in self.follow_ups for e in f._entries)]

    def write(self) -> None:
        """Make the write now.

        Raises:
            StateConflict: somebody else changed the stored state; the object is as it was.
            NotFound: the document is no longer stored; likewise.
        """
        document = self.document
        try:
            matched = self._write_unit() if self.has_more else self._write_alone()
        except BaseException as error:
            self.rollback(error)
            if isinstance(error, Exception):
                raise_refusal(document, error)
            raise
        if not matched:
            lost = document.write_lost()
            self.rollback(lost)
            raise lost
        self.stored()
        document.tell_changed(self)
        if self.removes():
            document.note_removal(self.event.name)

    def _write_alone(self) -> bool:
        document = self.document
        if document.is_new:
            self._inserts[document] = document.to_document(self.entries())
            document.collection().insert_one(self._inserts[document])
            return True
        return context.current().store.write_many(document.collection_name, [self.guarded()])[0]

    @property
    def has_more(self) -> bool:
        """Whether other documents go with it, so that it is not one guarded write."""
        return bool(self.companions or self.beside)

    def _write_unit(self) -> bool:
        (done,) = context.current().store.commit(lambda: [self.unit()])
        return self.committed(done)

    def committed(self, done: Committed) -> bool:
        """Note what became of the unit; return whether the change was stored.

        A companion that a unique index refuses is left out: another process was first, or two
        plugins brought the same.
        """
        for companion in [one for one in self.companions if one.id in done.refused]:
            self._leave_out(companion, done.refused[companion.id])
        return done.held

    def unit(self) -> Unit:
        """Return the change with all that is stored with it; called within the step itself."""
        document = self.document
        wanted = [companion for companion in self.companions if self._is_wanted(companion)]
        self._inserts = {companion: companion.to_document() for companion in wanted}
        beside = [
            *(one.as_insert(self._inserts[one], optional=True) for one in wanted),
            *self.beside,
        ]
        if document.is_new:
            self._inserts[document] = stored = document.to_document(self.entries())
            return Unit.of(document.collection_name, None, [document.as_insert(stored), *beside])
        interim = {"$set": self._changed[0]} if self.deletes and beside else None
        return Unit.of(document.collection_name, self.guarded(), beside, interim=interim)

    def _is_wanted(self, companion: Document) -> bool:
        amend = self.amends.get(companion)
        return amend is None or amend()

    def _leave_out(self, companion: Document, error: Exception) -> None:
        log.info("already there", document=repr(companion), beside=repr(self.document))
        self.companions.remove(companion)
        frames = self._frames_of.pop(companion, [])
        self._frames = [frame for frame in self._frames if frame not in frames]
        unwind_all(frames, error)

    def stored(self) -> None:
        """Note on the object that the write was made."""
        document, record = self.document, record_of(self.document)
        if self._inserts:
            self.created = [one for one in (document, *self.companions) if one in self._inserts]
        if document.is_new:
            record.was_stored(self._inserts[document])
        elif self.deletes:
            record.note_history(self.entries())
        else:
            record.written(*self._changed, self.entries())
        for companion in self.companions:
            if companion in self._inserts:  # else it was not wanted any more
                record_of(companion).was_stored(self._inserts[companion])
        document.was_changed(self.source)

    def removes(self) -> bool:
        """Return whether the document is removed by this change, at once or after its afters."""
        return self.deletes or (
            not self.document.is_new
            and self.document.removed_by(self.event.name)
            and self.target == self.event.transitions[0].target
        )

    def has_afters(self) -> bool:
        """Return whether anything is left for `finish` to do once the write was made."""
        return (
            bool(self.created or self._frames)
            or (bool(self.follow_ups) and any(change._frames for change in self.follow_ups))
            or self.document.is_observed()
            or (
                self.document.removal_is_observed()
                if self.deletes
                else self.document.removed_by(self.event.name)
            )
        )

    # --- after the write ---------------------------------------------------------------------

    def finish(self) -> None:
        """Tell the observers, run the afters, and remove a document that is not to be kept."""
        if not self._saves:
            record = record_of(self.document)
            record.unsaved = [*record.unsaved, *self.entries()]
            self._leave()
            return
        document = self.document
        if document.is_observed():
            for change in (self, *self.follow_ups):
                document.tell_observers(change.event.name, change.source, change.target)
        for created in self.created:
            created.after_created()
        self._leave()
        if self.deletes:
            document.was_removed_by(self.event.name)
        elif document.removed_by(self.event.name) and document.state == self.target:
            document.remove_after(self.event.name)

    def _leave(self) -> None:
        """Run the afters of this event, then those of the events that followed it."""
        changes = (*reversed(self.follow_ups), self)
        leave_all([frame for change in changes for frame in change._frames])
