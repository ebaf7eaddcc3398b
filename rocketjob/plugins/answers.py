"""What a hook takes for an answer: stated beside its specification, and checked at each call.

    @hookspec
    @list_of("job classes", is_job_class)
    def register_jobs(): ...

    @hookspec(firstresult=True)
    @answer("bytes", lambda value: isinstance(value, bytes))
    def encrypt(data): ...

A hook that states nothing takes anything.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs

F = TypeVar("F", bound=Callable[..., Any])
Fits = Callable[[Any], bool]
Refusal = Callable[[Any], str | None]
MARK = "__rocketjob_answer__"


class Unexpected(Exception):
    """A plugin returned what the hook does not take."""


@attrs.frozen
class Expected:
    """What a hook takes.

    Attributes:
        text: goes on after "expected", in a message.
        fits: whether an answer, or each item of a list, is what is taken.
        refusal: says why an item that fits cannot be taken nevertheless.
        is_list: whether the answer is a list, or anything else that can be iterated once.
        optional: whether None is taken too, for no answer.
    """

    text: str
    fits: Fits
    refusal: Refusal | None = None
    is_list: bool = False
    optional: bool = True

    def checked(self, value: Any) -> Any:
        """Return an answer, a list if it is to be one.

        Raises:
            Unexpected: it is another thing; the message says what was expected.
        """
        if value is None and self.optional:
            return None
        if self.is_list:
            return self._checked_list(value)
        if not self.fits(value):
            raise self._unexpected(reprlib.repr(value))
        return value

    def _checked_list(self, value: Any) -> list[Any]:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise self._unexpected(reprlib.repr(value))
        items = list(value)
        for item in items:
            if not self.fits(item):
                raise self._unexpected(f"a list with {reprlib.repr(item)}")
            if self.refusal is not None and (why := self.refusal(item)):
                raise Unexpected(why)
        return items

    def _unexpected(self, shown: str) -> Unexpected:
        return Unexpected(f"returned {shown}, expected {self.text}")


def answer(text: str, fits: Fits) -> Callable[[F], F]:
    """State what a hook returns; None is always no answer."""
    return _marked(Expected(text, fits))


def list_of(
    items: str, fits: Fits, refusal: Refusal | None = None, *, optional: bool = False
) -> Callable[[F], F]:
    """State that a hook returns a list, and of what.

    Args:
        items: in the plural, such as "job classes".
        fits: whether an item is one of those.
        refusal: says why one that is cannot be taken nevertheless.
        optional: whether None is an empty list; otherwise a forgotten `return` is refused.
    """
    text = f"a list of {items}"
    return _marked(Expected(text, fits, refusal, is_list=True, optional=optional))


def stored_beside(specification: F) -> F:
    """State that a hook returns what is stored with a change: inserts and writes along."""
    text = "what is stored with the change: rocketjob.store.Insert and Also"
    return list_of(text, is_stored_beside, refused_beside, optional=True)(specification)


def _marked(expected: Expected) -> Callable[[F], F]:
    def decorate(specification: F) -> F:
        setattr(specification, MARK, expected)
        return specification

    return decorate


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_nothing(value: Any) -> bool:
    return value is None


def is_class(value: Any) -> bool:
    return isinstance(value, type)


def is_whole(value: Any) -> bool:
    return isinstance(value, int)


def is_bytes(value: Any) -> bool:
    return isinstance(value, bytes)


def is_setting(value: Any) -> bool:
    from rocketjob.base.settings import Setting  # for start-up time

    return isinstance(value, Setting)


def is_job_class(value: Any) -> bool:
    from rocketjob.jobs.job import Job  # for start-up time

    return isinstance(value, type) and issubclass(value, Job)


def is_job(value: Any) -> bool:
    from rocketjob.jobs.job import Job  # for start-up time

    return isinstance(value, Job)


def is_state(value: Any) -> bool:
    from rocketjob.states.state import State  # for start-up time

    return isinstance(value, State)


def is_check(value: Any) -> bool:
    from rocketjob.server.checks import Check  # for start-up time

    return isinstance(value, Check)


def is_scratch(value: Any) -> bool:
    from rocketjob.server.scratch import Scratch  # for start-up time

    return isinstance(value, Scratch)


def is_log_target(value: Any) -> bool:
    from rocketjob.base.log_targets import LogTarget  # for start-up time

    return isinstance(value, LogTarget)


def is_metric(value: Any) -> bool:
    from rocketjob.server.metrics import Metric  # for start-up time

    return isinstance(value, Metric)


def is_subscriber(value: Any) -> bool:
    from rocketjob.server.subscribers import Subscriber  # for start-up time

    return isinstance(value, Subscriber) or (
        isinstance(value, type) and issubclass(value, Subscriber)
    )


def is_question(value: Any) -> bool:
    from rocketjob.server.questions import Question  # for start-up time

    return isinstance(value, Question)


def is_reason(value: Any) -> bool:
    from rocketjob.jobs.reasons import Reason  # for start-up time

    return isinstance(value, Reason)


def is_section(value: Any) -> bool:
    from rocketjob.jobs.reasons import Section  # for start-up time

    return isinstance(value, Section)


def is_stored_beside(value: Any) -> bool:
    from rocketjob.store import Also, Insert  # for start-up time

    return isinstance(value, Insert | Also)


def refused_beside(value: Any) -> str | None:
    """Say why the store would not take what a plugin wants to have stored with a change."""
    from rocketjob.store import MAX_DOCUMENT_BYTES, Insert  # for start-up time
    from rocketjob.store.packing import pack

    def why() -> str | None:
        name = value.collection
        if not isinstance(name, str) or not name or set(name) & {"$", "\0"}:
            return f"{name!r} is not a valid collection name"
        if isinstance(value, Insert):
            if len(pack(value.document)) > MAX_DOCUMENT_BYTES - 100:  # room for an _id
                return "its document is too large"
            return None
        filter, update = value.write
        if update is not None and not (update and all(key[:1] == "$" for key in update)):
            return f"{update!r} is not an update, such as {{'$set': {{'sent': True}}}}"
        pack({"filter": filter, "update": update})
        return None

    try:
        refused = why()
    except Exception as error:  # whatever BSON does not know
        refused = f"it cannot be stored: {type(error).__name__}: {error}"
    return refused and f"returned {reprlib.repr(value)}, which cannot be used: {refused}"


def is_store(value: Any) -> bool:
    """Return whether a value has the main parts of a `rocketjob.store.Store`."""
    return all(hasattr(value, name) for name in ("url", "collection", "write_many", "indexes"))


def is_clause(value: Any) -> bool:
    from rocketjob.jobs.holds import Clause  # for start-up time

    return isinstance(value, Clause)


def is_veto(value: Any) -> bool:
    from rocketjob.jobs.holds import Hold  # for start-up time

    return isinstance(value, Hold) or (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], Mapping)
    )


def are_indexes(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(specs, list | tuple) and all(map(_is_index, specs))
        for name, specs in value.items()
    )


def _is_index(spec: Any) -> bool:
    return (
        isinstance(spec, Mapping)
        and isinstance(spec.get("name"), str)
        and isinstance(spec.get("keys"), list | tuple)
        and all(isinstance(key, list | tuple) and len(key) == 2 for key in spec["keys"])
    )
