"""What jobs can be searched by: each key, and the condition that it makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.base.text import hinted
from rocketjob.jobs.search.fields import is_field, of_field
from rocketjob.jobs.search.grammar import Term, Value
from rocketjob.jobs.search.scope import Condition, Scope
from rocketjob.jobs.search.texts import (
    any_of,
    beginning,
    containing,
    containing_in_clear,
    has_stars,
    quoted,
    short,
    with_stars,
)
from rocketjob.jobs.state_names import check_states
from rocketjob.model.registry import loaded_classes, lookup
from rocketjob.store import Filter, context

FIELD = "field."
DIGITS = 24  # of an id
_WHOLE_ID = re.compile(rf"[0-9a-fA-F]{{{DIGITS}}}")
Make = Callable[[Scope, Term], Condition]


@attrs.frozen
class Key:
    """A key that has a meaning of its own.

    Attributes:
        example: what may stand behind its colon.
        means: what that is compared with, for people.
    """

    name: str
    example: str
    means: str
    make: Make


def condition_of(scope: Scope, term: Term) -> Condition:
    """Return the condition of a term.

    Raises:
        SearchError: there is no such key, or its value makes no sense.
    """
    if term.key is None:
        return _of_text(term.values[0])
    name = term.key.casefold()
    if name in KEYS:
        return KEYS[name].make(scope, term)
    if name.startswith(FIELD):
        return of_field(term.key[len(FIELD) :])(scope, term)
    if term.key in scope.model.__fields__:
        return of_field(term.key)(scope, term)
    raise scope.error_of_key(term, _unknown(scope, term.key))


def known_keys() -> list[Key]:
    """Return the keys that have a meaning of their own, in the order of the documentation."""
    return list(KEYS.values())


def _unknown(scope: Scope, key: str) -> str:
    if is_field(scope.model, key.partition(".")[0]):
        return f"a field is searched by as {FIELD}{short(key)}:"
    known = [*KEYS, *scope.model.__fields__]
    otherwise = f'to look for the text, put it in quotes: "{short(key)}:..."'
    return hinted(f"jobs are not searched by {short(key)}", key, known, otherwise)


def _of_text(value: Value) -> Condition:
    if _WHOLE_ID.fullmatch(value.text):
        return Condition({"_id": ObjectId(value.text)}, f"id is {value.text}")
    found = containing(value.text)
    described = containing_in_clear(value.text)
    filter: Filter = {"$or": [{"_type": found}, {"description": described}]}
    return Condition(filter, f"class or description has {quoted([value])}")


# --- parts of texts --------------------------------------------------------------------------


def _part_of(*names: str, make_part: Callable[[str], Filter] = containing) -> Make:
    def make(scope: Scope, term: Term) -> Condition:
        scope.plain_only(term)
        clauses: list[Filter] = [
            {name: make_part(value.text)} for value in term.values for name in names
        ]
        return Condition(any_of(clauses), f"{term.key} has {quoted(term.values)}")

    return make


def _error(scope: Scope, term: Term) -> Condition:
    names = ["exception.class_name", *(["exception.message"] if scope.messages else [])]
    return _part_of(*names)(scope, term)


def _server(scope: Scope, term: Term) -> Condition:
    """Workers are called `server:process`."""
    scope.plain_only(term)
    clauses: list[Filter] = [{"worker_name": beginning(value.text)} for value in term.values]
    return Condition(any_of(clauses), f"server begins with {quoted(term.values)}")


# --- class, state, id ------------------------------------------------------------------------


def _class(scope: Scope, term: Term) -> Condition:
    scope.plain_only(term)
    starred = [value for value in term.values if has_stars(scope, value)]
    plain = [value for value in term.values if value not in starred]
    clauses: list[Filter] = [{"_type": with_stars(value.text)} for value in starred]
    if names := sorted({name for value in plain for name in _stored_names(scope, value)}):
        clauses.append({"_type": names[0] if len(names) == 1 else {"$in": names}})
    return Condition(any_of(clauses), f"class is {_shown(term)}")


def _stored_names(scope: Scope, value: Value) -> Iterator[str]:
    """Yield the names under which jobs of a class, and of those below it, are stored."""
    name, model = value.text, scope.model
    loaded = lookup(name, model)
    if loaded is not None:
        yield from (each for cls in loaded_classes(loaded) for each in cls.stored_names())
    elif name in (stored := _stored_classes(model)):
        yield name
    else:
        known = {*stored, *(cls.__name__ for cls in loaded_classes(model))}
        problem = f"no job of the class {short(name)} is stored, and no such class is loaded here"
        raise scope.error(value, hinted(problem, name, known))


def _stored_classes(model: Any) -> list[str]:
    store = context.current().store
    return [str(name) for name in store.count_by(model.collection_name, "_type")]


def _state(scope: Scope, term: Term) -> Condition:
    scope.plain_only(term)
    clauses: list[Filter] = []
    for value in term.values:
        name = value.text.lower()
        if name == "scheduled":
            clauses.append({"state": "queued", "run_at": {"$gt": scope.now}})
            continue
        try:
            check_states(scope.model, [name])
        except ValueError as error:
            raise scope.error(value, str(error)) from None
        clauses.append({"state": name})
    return Condition(any_of(clauses), f"state is {_shown(term)}")


def _id(scope: Scope, term: Term) -> Condition:
    scope.plain_only(term)
    clauses: list[Filter] = []
    for value in term.values:
        if not re.fullmatch(rf"[0-9a-fA-F]{{1,{DIGITS}}}", value.text):
            problem = f"an id has {DIGITS} hexadecimal digits: write it, or how it begins"
            raise scope.error(value, problem)
        first, last = (ObjectId(value.text.ljust(DIGITS, digit)) for digit in "0f")
        clauses.append({"_id": first if first == last else {"$gte": first, "$lte": last}})
    is_whole = all(len(value.text) == DIGITS for value in term.values)
    return Condition(any_of(clauses), f"id {'is' if is_whole else 'begins with'} {_shown(term)}")


def _shown(term: Term) -> str:
    return " or ".join(short(value.text) for value in term.values)


KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key("class", "ImportJob", "its class, or one above it", _class),
        Key("state", "failed", "its state, or scheduled", _state),
        Key("id", "66f0a1", "its id, or how it begins", _id),
        Key(
            "desc",
            '"big file"',
            "a part of its description",
            _part_of("description", make_part=containing_in_clear),
        ),
        Key("error", '"not known"', "a part of its exception's class or message", _error),
        Key("server", "batch-01", "how the name of the server begins that has it", _server),
        Key("worker", "batch-01:7", "a part of the name of its worker", _part_of("worker_name")),
        Key("priority", "<20", "its priority; 1 is the most urgent", of_field("priority")),
        Key("created", ">2h", "when it was stored", of_field("created_at", "created")),
        Key("started", "<10m", "when it was started last", of_field("started_at", "started")),
        Key("ended", "today", "when it ended or was paused", of_field("completed_at", "ended")),
        Key("due", "<+2h", "when it is to run", of_field("run_at", "due")),
    )
}
