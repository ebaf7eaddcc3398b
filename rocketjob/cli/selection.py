"""Options that select jobs, and the query that they make."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
import click

from rocketjob import Job, application, clock
from rocketjob.cli.command import did_you_mean
from rocketjob.cli.errors import BadInput
from rocketjob.cli.session import warn
from rocketjob.cli.types import JsonObject, StoredClass
from rocketjob.document import loaded_classes, lookup
from rocketjob.errors import RocketJobError, UnsupportedOperation
from rocketjob.fields import Field
from rocketjob.job import COLLECTION, STATES, JobQuery

F = TypeVar("F", bound=Callable[..., Any])
CHOICES = (*STATES, "scheduled")


@attrs.frozen(kw_only=True)
class Selection:
    """Which jobs are meant; without any condition, all of them."""

    states: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    priority: int | None = None
    where: Mapping[str, Any] | None = None

    def query(self) -> JobQuery[Job]:
        """Return the query.

        Raises:
            BadInput: there is no such class, or a value is not of its field's type.
        """
        query: JobQuery[Job] = Job.all()
        if self.states:
            query = query.where(_in_states(self.states))
        if self.classes:
            query = query.where({"_type": {"$in": sorted(set(self._stored_names()))}})
        if self.priority is not None:
            query = query.where({"priority": self.priority})
        if self.where:
            query = query.where(_typed(self.where))
        return query

    def _stored_names(self) -> Iterator[str]:
        for name in self.classes:
            found = lookup(name, Job)
            if found is not None:
                yield from (cls.type_name() for cls in loaded_classes(found))
            elif name in (stored := _stored_classes()):
                yield name
            else:
                known = {*stored, *(cls.__name__ for cls in loaded_classes(Job))}
                raise BadInput(
                    f"no job of the class {name} is stored, and none is loaded here"
                    + did_you_mean(name, known)
                )


def _stored_classes() -> list[str]:
    return [str(name) for name in application.current().store.count_by(COLLECTION, "_type")]


def _in_states(states: tuple[str, ...]) -> dict[str, Any]:
    clauses: list[dict[str, Any]] = []
    if plain := [state for state in states if state != "scheduled"]:
        clauses.append({"state": {"$in": plain}})
    if "scheduled" in states:
        clauses.append({"state": "queued", "run_at": {"$gt": clock.now()}})
    return clauses[0] if len(clauses) == 1 else {"$or": clauses}


# --- the filter of --where: JSON has no times, so texts are parsed by the field's type ---------


def _typed(filter: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in filter.items():
        if key in ("$and", "$or", "$nor"):
            if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
                raise BadInput(f"--where: {key} must be a list of filters")
            found[key] = [_typed(clause) for clause in value]
        else:
            found[key] = value if key.startswith("$") else _typed_condition(key, value)
    return found


def _typed_condition(key: str, value: Any) -> Any:
    field = _field(key)
    if isinstance(value, dict) and any(name.startswith("$") for name in value):
        return {name: _typed_operand(key, field, name, item) for name, item in value.items()}
    return _typed_value(key, field, value)


def _typed_operand(key: str, field: Field | None, operator: str, value: Any) -> Any:
    if operator == "$not" and isinstance(value, dict):
        return _typed_condition(key, value)
    if operator in ("$in", "$nin") and isinstance(value, list):
        return [_typed_value(key, field, item) for item in value]
    if operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"):
        return _typed_value(key, field, value)
    return value


def _typed_value(key: str, field: Field | None, value: Any) -> Any:
    if field is None or not isinstance(value, str):
        return value
    try:
        return field.codec.from_text(value)
    except ValueError as error:
        raise BadInput(f"--where: {key}: {error}") from None


def _field(key: str) -> Field | None:
    """Return the one field that a key can mean, None if it is not known here or a part of one."""
    if key in ("_id", "_type"):
        return None
    head = key.partition(".")[0]
    found = {
        id(cls.fields()[head].codec): cls.fields()[head]
        for cls in loaded_classes(Job)
        if head in cls.fields()
    }
    if not found and head != "history":
        _warn_of_unknown(head)
    return next(iter(found.values())) if len(found) == 1 and head == key else None


def _warn_of_unknown(name: str) -> None:
    known = {each for cls in loaded_classes(Job) for each in cls.fields()}
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    warn(f"--where: no job class that is loaded here has a field {name}{hint}")


def checked(function: Callable[[], Any]) -> Any:
    """Call what reads the store by a filter; one that the store refuses is a wrong use."""
    try:
        return function()
    except (UnsupportedOperation, TypeError, ValueError) as error:
        if isinstance(error, RocketJobError) and not isinstance(error, UnsupportedOperation):
            raise
        raise BadInput(str(error)) from error


def selection_options(function: F) -> F:
    """Decorate a command with the options that select jobs; it takes a `selection`."""
    import functools

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        made = Selection(
            states=kwargs.pop("states"),
            classes=kwargs.pop("classes"),
            priority=kwargs.pop("priority"),
            where=kwargs.pop("where"),
        )
        return function(*args, selection=made, **kwargs)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "-s",
        "--state",
        "states",
        multiple=True,
        type=click.Choice(CHOICES),
        metavar="STATE",
        help=f"in this state; may be repeated: {' '.join(CHOICES)}",
    ),
    click.option(
        "--class",
        "classes",
        multiple=True,
        type=StoredClass(),
        metavar="NAME",
        help="of this class or one below it; may be repeated",
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
        type=JsonObject(),
        metavar="JSON",
        help='that match a filter, such as \'{"priority": {"$lte": 10}}\'',
    ),
)
