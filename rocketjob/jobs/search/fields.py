"""Conditions on fields of jobs: `field.customer:42`, `priority:<20`, `created:>2h`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from rocketjob.base.passwords import is_secret_field
from rocketjob.base.text import hinted
from rocketjob.jobs.search import times
from rocketjob.jobs.search.grammar import Term, Value
from rocketjob.jobs.search.scope import Condition, Scope
from rocketjob.jobs.search.texts import any_of, has_stars, in_clear, short, with_stars
from rocketjob.jobs.search.values import holds_others, is_time, ordered, values_of
from rocketjob.model.fields import Field
from rocketjob.model.registry import loaded_classes
from rocketjob.model.renaming import renames_of
from rocketjob.model.types import Codec
from rocketjob.model.types.anything import ANY

_OPERATORS = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_WORDS = {"": "is", "=": "is", ">": ">", ">=": "≥", "<": "<", "<=": "≤"}
_SAID = "exception"  # the field of what an exception said


@attrs.frozen
class Named:
    """A field, or a part of one, and the types that it has in the classes that are loaded."""

    path: str
    codecs: tuple[Codec, ...]

    @property
    def is_time(self) -> bool:
        return all(is_time(codec) for codec in self.codecs)

    @property
    def has_texts(self) -> bool:
        return any(codec is ANY or (codec.item or codec).name == "str" for codec in self.codecs)


def is_field(model: Any, name: str) -> bool:
    """Return whether a loaded class has a field, or had one under this name."""
    return bool(_fields(model, renames_of(model).present(name)))


def of_field(name: str, shown: str | None = None) -> Callable[[Scope, Term], Condition]:
    """Return what makes conditions on a field.

    Args:
        shown: how it is called in words.
    """

    def make(scope: Scope, term: Term) -> Condition:
        field = _named(scope, term, name)
        filters, words = _conditions(scope, term, field)
        return Condition(any_of(filters), f"{shown or name} {words}")

    return make


def _named(scope: Scope, term: Term, name: str) -> Named:
    """Return the field of a name, if it may be searched.

    Raises:
        SearchError: no loaded class has it, or it is secret.
    """
    path = renames_of(scope.model).present(name)
    head, *parts = path.split(".")
    fields = _fields(scope.model, head)
    if not fields:
        names = {n for cls in loaded_classes(scope.model) for n in cls.__fields__}
        problem = f"no job class that is loaded here has a field {short(head)}"
        raise scope.error_of_key(term, hinted(problem, head, names))
    if not all(parts) or any(part.startswith("$") for part in parts):
        raise scope.error_of_key(term, f"{short(name)} names no part of the field {head}")
    if any(field.encrypted for field in fields):
        problem = f"the field {head} is stored encrypted, so that nobody can search it"
        raise scope.error_of_key(term, problem)
    if any(is_secret_field(part) for part in (head, *parts)):
        raise scope.error_of_key(
            term, f"{short(name)} is a secret by its name: nobody can search it"
        )
    if head == _SAID and not scope.messages:
        problem = "only those who may look at records can search what exceptions say"
        raise scope.error_of_key(term, problem)
    if parts:
        return Named(path, (ANY,))
    if any(holds_others(field.codec) for field in fields):
        problem = f"{head} has parts: search by one of them, such as field.{head}.NAME:"
        raise scope.error_of_key(term, problem)
    codecs = {id(field.codec): field.codec for field in fields}
    return Named(path, tuple(codecs.values()))


def _fields(model: Any, name: str) -> list[Field]:
    found = [cls.__fields__[name] for cls in loaded_classes(model) if name in cls.__fields__]
    return [field for field in found if field.is_usable]


# --- conditions ------------------------------------------------------------------------------


def _conditions(scope: Scope, term: Term, field: Named) -> tuple[list[Any], str]:
    """Return the alternatives of a term, and their words."""
    if term.operator in _OPERATORS and len(term.values) > 1:
        raise scope.error(term.values[1], f"only one value can stand behind {term.operator}")
    made = [_condition(scope, term, field, value) for value in term.values]
    filters = [_stored(scope, term, field.path, condition) for condition, _ in made]
    words = [words for _, words in made]
    return filters, " or ".join(dict.fromkeys(words))


def _condition(scope: Scope, term: Term, field: Named, value: Value) -> tuple[Any, str]:
    is_plain = term.operator in ("", "=")
    if is_plain and not value.quoted and value.text.lower() == "none":
        return None, "is not set"
    if is_plain and not value.quoted and ".." in value.text:
        ranged = _range(scope, field, value)
        if ranged is not None:
            return ranged
    if field.is_time:
        stretch = _stretch(scope, field, value, value.text)
        if is_plain and stretch.start == stretch.end and not stretch.is_age:
            problem = f"write <{value.text} for before, or >{value.text} for after that moment"
            raise scope.error(value, problem)
        return times.compared(term.operator, stretch), times.in_words(term.operator, stretch)
    if is_plain and field.has_texts and has_stars(scope, value):
        return in_clear(with_stars(value.text)), f"is {short(value.text)}"
    found = _found(scope, field, value)
    words = f"{_WORDS[term.operator]} {short(value.text)}"
    if is_plain:
        return (found[0] if len(found) == 1 else {"$in": found}), words
    bound = _ordered(scope, term, value, found)
    condition = {_OPERATORS[term.operator]: bound}
    return (in_clear(condition) if isinstance(bound, str) else condition), words


def _ordered(scope: Scope, term: Term, value: Value, found: list[Any]) -> Any:
    comparable = ordered(found)
    if not comparable:
        raise scope.error(
            value, f"{term.key} has no order: write {term.key}: without {term.operator}"
        )
    return comparable[0]


def _range(scope: Scope, field: Named, value: Value) -> tuple[Any, str] | None:
    """Return the condition of `10..20`; None if a text with dots is looked for."""
    low, _, high = value.text.partition("..")
    if field.is_time:
        one, other = (_stretch(scope, field, value, text) for text in (low, high))
        return times.between(one, other), times.between_words(one, other)
    try:
        ends = [ordered(values_of(field.codecs, text)) for text in (low, high)]
    except ValueError:
        return None
    numbers = [end[0] for end in ends if end and not isinstance(end[0], str)]
    if len(numbers) < 2:
        return None
    return {"$gte": numbers[0], "$lte": numbers[1]}, f"from {low} to {high}"


def _stretch(scope: Scope, field: Named, value: Value, text: str) -> times.Stretch:
    try:
        return times.stretch_of(text, scope.now)
    except ValueError as error:
        raise scope.error(value, f"{field.path} {error}") from None


def _found(scope: Scope, field: Named, value: Value) -> list[Any]:
    try:
        return values_of(field.codecs, value.text)
    except (ValueError, OverflowError) as error:
        raise scope.error(value, f"{field.path} {_brief(error)}") from None


def _brief(error: Exception) -> str:
    """Return what is wrong with a value, without all of a long one."""
    text = str(error)
    return text if len(text) <= 300 else text[:299] + "…"


def _stored(scope: Scope, term: Term, path: str, condition: Any) -> Any:
    """Return a condition as it is stored, also under the names that the field had before."""
    try:
        return scope.model.where({path: condition}).filters[-1]
    except (TypeError, ValueError, OverflowError) as error:
        raise scope.error(term, _brief(error)) from None
