"""States and events as they are declared: which event leads from where to where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs

from rocketjob.base.errors import InvalidTransition

MARK = "__rocketjob_event__"
KERNEL_STATES = ("queued", "running", "completed", "failed", "paused", "aborted")


class HasState(Protocol):
    """What is asked of a document that has a state: see `rocketjob.states.stateful`."""

    @property
    def state(self) -> str: ...

    def forbids(self, event: str) -> str | None: ...

    def allowed_events(self) -> list[str]: ...

    def called_when_refused(self) -> str | None: ...


@attrs.frozen
class AllBut:
    """All states but some, those of plugins included; for the sources of a `Transition`."""

    states: tuple[str, ...]

    def __contains__(self, state: str) -> bool:
        return state not in self.states


def _as_sources(sources: str | Iterable[str] | AllBut) -> tuple[str, ...] | AllBut:
    if isinstance(sources, AllBut):
        return sources
    return (sources,) if isinstance(sources, str) else tuple(sources)


@attrs.frozen
class Transition:
    """From one of `sources` to `target`, if the document's method named `guard` agrees.

    `sources` are the names of states, or one name. `because` says in a message why the guard
    refused.
    """

    sources: tuple[str, ...] | AllBut = attrs.field(converter=_as_sources)
    target: str
    guard: str | None = None
    because: str | None = None


@attrs.frozen(eq=False)
class Event:
    """Something that can happen to a document."""

    name: str
    transitions: tuple[Transition, ...]
    effect: Callable[..., Any]
    validates: bool = True

    def clause(self) -> Mapping[str, Any]:
        """Return the condition on a stored state under which it may be possible."""
        leads = [transition.sources for transition in self.transitions]
        named = sorted({name for each in leads if not isinstance(each, AllBut) for name in each})
        clauses: list[dict[str, Any]] = [{"state": {"$in": named}}] if named else []
        clauses += [{"state": {"$nin": [*e.states]}} for e in leads if isinstance(e, AllBut)]
        return clauses[0] if len(clauses) == 1 else {"$or": clauses}

    def choose(self, document: HasState, arguments: dict[str, Any]) -> Transition:
        """Return the transition to make.

        Raises:
            InvalidTransition: none leads from the document's state, or the guards refused.
        """
        transition, refused = self._find(document, arguments)
        if transition is None:
            others = [name for name in document.allowed_events() if name != self.name]
            raise InvalidTransition(
                self.name, document.state, others, refused or document.called_when_refused()
            )
        return transition

    def is_possible(self, document: HasState) -> bool:
        """Return whether it is possible now; a guard that requires arguments is taken to agree."""
        try:
            return self._find(document, {})[0] is not None
        except TypeError:
            return True

    def _find(
        self, document: HasState, arguments: dict[str, Any]
    ) -> tuple[Transition | None, str | None]:
        """Return the transition to make, or why there is none, if more than the state says so."""
        refused = document.forbids(self.name)
        for transition in () if refused else self.transitions:
            if document.state not in transition.sources:
                continue
            if transition.guard is None or getattr(document, transition.guard)(**arguments):
                return transition, None
            refused = transition.because or transition.guard
        return None, refused


def states_of(events: Iterable[Event]) -> set[str]:
    """Return the states that some events name."""
    made = [transition for event in events for transition in event.transitions]
    named = {name for each in made if not isinstance(each.sources, AllBut) for name in each.sources}
    return named | {each.target for each in made}


def events_of(cls: type) -> dict[str, Event]:
    """Return the events of a class by name; those nearer to the class win."""
    events: dict[str, Event] = {}
    for base in reversed(cls.__mro__):
        for name, value in base.__dict__.items():
            marked = getattr(value, MARK, None) if callable(value) else None
            if marked is not None:
                events[name] = marked
    return events
