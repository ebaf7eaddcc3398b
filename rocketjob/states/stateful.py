"""`Stateful`: a document that declares states, and events that lead from one to another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rocketjob.base.errors import InvalidTransition, NotFound, RocketJobError, StateConflict
from rocketjob.model.document import Document
from rocketjob.model.fields import read_only_field
from rocketjob.model.record import HISTORY, HISTORY_LIMIT
from rocketjob.states import history
from rocketjob.states.transitions import Event, events_of
from rocketjob.store import Also, Insert, Stored


class Stateful(Document, abstract=True):
    """Base of documents with states: a subclass has a field `state`, and methods marked `@event`.

    A change of state is one write, which is made only if the stored state is still the one that
    the change started from. The methods here that do nothing are for subclasses.
    """

    reads_before_events: ClassVar[bool] = False
    """Whether an event starts from what is stored by then, instead of what this object holds."""

    __events__: ClassVar[dict[str, Event]] = {}

    if TYPE_CHECKING:
        state: str = read_only_field()

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        cls.__events__ = events_of(cls)
        super().__init_subclass__(abstract=abstract, **options)

    @classmethod
    def known_events(cls) -> frozenset[str]:
        return super().known_events() | cls.__events__.keys()

    # --- questions ---------------------------------------------------------------------------

    def may(self, event: str, **arguments: Any) -> bool:
        """Return whether an event is possible now.

        Raises:
            ValueError: there is no such event.
        """
        try:
            self.event_called(event).choose(self, arguments)
        except InvalidTransition:
            return False
        return True

    @classmethod
    def event_called(cls, name: str) -> Event:
        """Return an event by its name.

        Raises:
            ValueError: there is no such event.
        """
        event = cls.__events__.get(name)
        if event is None:
            raise ValueError(f"there is no event {name}; events are {', '.join(cls.__events__)}")
        return event

    def allowed_events(self) -> list[str]:
        """Name the events that are possible now."""
        return [name for name, event in self.__events__.items() if event.is_possible(self)]

    def forbids(self, event: str) -> str | None:
        """Say why an event is out of the question whatever the state, or return None."""
        return None

    def called_when_refused(self) -> str | None:
        """Return what the message of a refused event says besides the state."""
        return None

    def removed_by(self, event: str) -> bool:
        """Return whether an event removes the document once it is made."""
        return False

    def is_just_removed(self, event: Event) -> bool:
        """Return whether an event removes the document, and nobody is asked before, or told after.

        So it is with most of those that are removed, and they are many: see `Change.prepare`.
        """
        return False

    @property
    def is_changing(self) -> bool:
        """Whether a change of state is under way, as in a before callback of an event."""
        return self._record.change is not None

    # --- while it changes --------------------------------------------------------------------

    def before_event(self) -> Any:
        """Return what `history_entry` is to know of the time before an event."""
        return None

    def history_entry(
        self, event: str, arguments: Mapping[str, Any], before: Any
    ) -> dict[str, Any] | None:
        """Return what the history gets of an event; None where none is kept."""
        return None

    def is_observed(self) -> bool:
        """Return whether anybody is to be told of changes."""
        return False

    def stored_beside(self, event: str, source: str, target: str) -> Sequence[Insert | Also]:
        """Return what is stored with a change of state, in the same step or not at all."""
        return ()

    def tell_observers(self, event: str, source: str, target: str) -> None:
        """Tell those who observe that the state was changed."""

    def tell_changed(self, change: Any) -> None:
        """Tell those who are told of changes in groups of one that was stored by itself."""

    def removal_is_observed(self) -> bool:
        """Return whether anybody is to be told that the document was removed."""
        return False

    def was_removed_by(self, event: str) -> None:
        """Note that an event has removed the document in the same step."""

    def remove_after(self, event: str) -> None:
        """Remove the document after an event, with its callbacks."""
        self.destroy()

    def was_changed(self, source: str) -> None:
        """Note that a change of state was stored; for what holds only while it is in a state."""

    # --- the document ------------------------------------------------------------------------

    def to_document(self, entries: Iterable[dict[str, Any]] = ()) -> Stored:
        stored = super().to_document()
        written = [*self._record.history, *self._record.unsaved, *entries]
        if written:
            stored[HISTORY] = written[-HISTORY_LIMIT:]
        return stored

    def change_guard(self, changed: Iterable[str]) -> dict[str, Any]:
        """Return the filter of a change of state: the stored one must be what it started from.

        Args:
            changed: the keys that it sets or removes.
        """
        return {**self.write_guard(), "state": self._stored_state()}

    def _condition(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Guard a state that was changed in memory, as the event itself would have been."""
        return self.change_guard(changed) if "state" in changed else self.write_guard()

    def _update_document(
        self, changed: Mapping[str, Any], removed: Mapping[str, Any]
    ) -> dict[str, Any]:
        update, unsaved = super()._update_document(changed, removed), self._record.unsaved
        return {**update, "$push": history.push(unsaved)} if unsaved else update

    def write_lost(self) -> RocketJobError:
        stored = self.collection().find_one({"_id": self.id}, {"state": 1})
        if stored is None:
            return super().write_lost()
        state, was = stored["state"], self._stored_state()
        how = f"is {state} in the store, no longer {was}" if state != was else "is not as it was"
        return StateConflict(
            f"{type(self).__name__} {self.id} {how}: somebody else has changed it. "
            "Reload it and decide again"
        )

    def _stored_state(self) -> str:
        return str((self._record.stored or {}).get("state", self.state))


def change_each(documents: Iterable[Any], event: Callable[[Any], Any]) -> int:
    """Make an event of each; return how many, passing over those for which others were first."""
    done = 0
    for document in documents:
        with contextlib.suppress(InvalidTransition, StateConflict, NotFound):
            event(document)
            done += 1
    return done
