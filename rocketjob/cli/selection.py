"""Options that select jobs, and the resulting query.

Imports within functions: a command loads no more than it needs, so that it starts quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
import click

from rocketjob import Job, application
from rocketjob.base import clock
from rocketjob.base.errors import RocketJobError, SearchError, UnsupportedOperation
from rocketjob.base.text import hinted
from rocketjob.cli.errors import BadInput
from rocketjob.cli.session import warn
from rocketjob.cli.types import STATE, STORED_CLASS, Where
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.query import STATES, JobQuery
from rocketjob.jobs.state_names import check_states
from rocketjob.model.registry import loaded_classes, lookup
from rocketjob.queue.eligible import unknown_in

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Selection:
    """Which jobs are selected; without any condition, all of them.

    Attributes:
        where: a filter, or a search as a text.
    """

    states: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    priority: int | None = None
    where: Mapping[str, Any] | str | None = None

    def query(self) -> JobQuery[Job]:
        """Return the query.

        Raises:
            BadInput: there is no such class, or a value is not of its field's type.
        """
        query: JobQuery[Job] = Job.all()
        if self.states:
            self._check_states()
            query = query.where(_in_states(self.states))
        if self.classes:
            query = query.where({"_type": {"$in": sorted(set(self._stored_names()))}})
        if self.priority is not None:
            query = query.where({"priority": self.priority})
        if isinstance(self.where, str):
            query = searched(query, self.where, "--where")
        elif self.where:
            query = self._narrowed(query, self.where)
        return query

    def _check_states(self) -> None:
        try:
            check_states(Job, [state for state in self.states if state != "scheduled"])
        except ValueError as error:
            raise BadInput(f"--state: {error}") from error

    def _narrowed(self, query: JobQuery[Job], where: Mapping[str, Any]) -> JobQuery[Job]:
        try:
            narrowed = query.where(where)
        except (TypeError, ValueError) as error:
            raise BadInput(f"--where: {error}") from error
        for problem in unknown_in(where):
            warn(f"--where: {problem}")
        return narrowed

    def _stored_names(self) -> Iterator[str]:
        for name in self.classes:
            loaded = lookup(name, Job)
            if loaded is not None:
                yield from (each for cls in loaded_classes(loaded) for each in cls.stored_names())
            elif name in (stored := _stored_classes()):
                yield name
            else:
                known = {*stored, *(cls.__name__ for cls in loaded_classes(Job))}
                problem = f"no job of the class {name} is stored, and no such class is loaded here"
                raise BadInput(hinted(problem, name, known))


def searched(query: JobQuery[Job], text: str, place: str = "") -> JobQuery[Job]:
    """Narrow a query by a search.

    Args:
        place: the option that has it, for the message.

    Raises:
        BadInput: the search cannot be understood; the message shows where.
    """
    try:
        return query.search(text)
    except SearchError as error:
        where = f"{place}: " if place else ""
        shown = "".join(f"\n  {line}" for line in error.pointer().splitlines())
        raise BadInput(f"{where}{error}{shown}") from error


def _stored_classes() -> list[str]:
    return [str(name) for name in application.current().store.count_by(COLLECTION, "_type")]


def _in_states(states: tuple[str, ...]) -> dict[str, Any]:
    clauses: list[dict[str, Any]] = []
    if plain := [state for state in states if state != "scheduled"]:
        clauses.append({"state": {"$in": plain}})
    if "scheduled" in states:
        clauses.append({"state": "queued", "run_at": {"$gt": clock.now()}})
    return clauses[0] if len(clauses) == 1 else {"$or": clauses}


def checked(function: Callable[[], Any]) -> Any:
    """Run a query by a filter; a filter that the store refuses is wrong usage."""
    try:
        return function()
    except (UnsupportedOperation, TypeError, ValueError) as error:
        if isinstance(error, RocketJobError) and not isinstance(error, UnsupportedOperation):
            raise
        raise BadInput(str(error)) from error


def checked_first(found: Iterator[T]) -> Iterator[T]:
    """Yield what a query finds, one by one, once the store has accepted its filter."""
    first = checked(lambda: next(found, None))
    if first is not None:
        yield first
        yield from found


def selection_options(function: F) -> F:
    """Decorate a command with the options that select jobs; it takes a `selection`."""
    import functools

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        selection = Selection(
            states=kwargs.pop("states"),
            classes=kwargs.pop("classes"),
            priority=kwargs.pop("priority"),
            where=kwargs.pop("where"),
        )
        return function(*args, selection=selection, **kwargs)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "-s",
        "--state",
        "states",
        multiple=True,
        type=STATE,
        metavar="STATE",
        help=f"in this state; may be repeated: {' '.join(STATES)} scheduled, or one of a plugin",
    ),
    click.option(
        "--class",
        "classes",
        multiple=True,
        type=STORED_CLASS,
        metavar="NAME",
        help="of this class or a subclass; may be repeated",
    ),
    click.option(
        "-p",
        "--priority",
        type=click.IntRange(1, 100),
        metavar="N",
        help="of this priority, 1 to 100",
    ),
    click.option(
        "-w",
        "--where",
        type=Where(),
        metavar="SEARCH",
        help="that a search finds, such as 'error:KeyError created:<2h priority:<20'; or a filter "
        'as JSON, such as \'{"priority": {"$lte": 10}}\'',
    ),
)
