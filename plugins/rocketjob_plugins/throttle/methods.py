"""`@throttle`: your own rules for deferring jobs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError
from rocketjob.base.functions import summary_of
from rocketjob.store import Filter

F = TypeVar("F", bound=Callable[..., Any])
Deferral = Callable[[Any], Filter] | Filter
MARK = "__rocketjob_throttle__"


def this_class(job: Job) -> Filter:
    """Return a filter that defers all jobs of the job's class."""
    return {"_type": type(job).stored_type()}


def this_job(job: Job) -> Filter:
    """Return a filter that defers only this job."""
    return {"_id": job.id}


@overload
def throttle(function: F) -> F: ...
@overload
def throttle(*, filter: Deferral = ...) -> Callable[[F], F]: ...
def throttle(function: Any = None, *, filter: Deferral = this_class) -> Any:
    """Mark a method that says whether its jobs must wait now.

    It returns True while they must, or the reason in words, such as `"load 3.2 > 0.8"`; else False,
    or None where it is annotated with `-> str | None`. The reason of True is the first line of its
    docstring.

    Args:
        filter: what to defer: `this_class`, `this_job`, a MongoDB filter, or a function that takes
            the job and returns one.
    """
    if not callable(filter) and not isinstance(filter, Mapping):
        raise TypeError("@throttle: filter must be a Mongo filter, or a function of the job")

    def decorate(marked: F) -> F:
        setattr(marked, MARK, filter)
        return marked

    return decorate if function is None else decorate(function)


def throttles_of(cls: type) -> dict[str, Deferral]:
    """Return the throttles of a class: those of its bases, then its own, in order.

    Raises:
        ConfigurationError: a marked method cannot be a throttle.
    """
    throttles: dict[str, Deferral] = {}
    for base in reversed(cls.__bases__):
        throttles.update(getattr(base, "__throttles__", {}))
    for name, value in cls.__dict__.items():
        if hasattr(value, MARK):
            _check(f"{cls.__qualname__}.{name}", value)
            throttles[name] = getattr(value, MARK)
    return throttles


def _check(name: str, method: Callable[..., Any]) -> None:
    signature = inspect.signature(method)
    if len(signature.parameters) != 1:
        raise ConfigurationError(f"{name}: a throttle takes nothing but self")
    if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
        raise ConfigurationError(f"{name}: a throttle must be a plain method, not async, no yield")
    if _answers(signature) is None:
        raise ConfigurationError(
            f"{name}: a throttle returns True or False, or a reason in words: annotate it with "
            f"-> bool, -> bool | str or -> str | None, not {signature.return_annotation}"
        )


def _answers(signature: inspect.Signature) -> set[str] | None:
    """Name the types that a throttle says it returns; None if it could not say both yes and no."""
    annotation = signature.return_annotation
    if annotation in (inspect.Signature.empty, Any, "Any"):
        return {"bool", "str"}
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    optional = re.fullmatch(r"(?:typing\.)?Optional\[(\w+)\]", text)
    names = {optional[1], "None"} if optional else set(text.replace(" ", "").split("|"))
    says_both = "bool" in names or names >= {"str", "None"}
    return names if says_both and names <= {"bool", "str", "None"} else None


def ask(job: Job, name: str) -> str | None:
    """Call one throttle; return the reason if jobs must wait.

    Raises:
        TypeError: it returned something else than a throttle may.
    """
    throttle = getattr(job, name)
    answer = throttle()
    if isinstance(answer, str) and answer.strip():
        return answer
    if isinstance(answer, bool):
        return summary_of(throttle) or name if answer else None
    if answer is None and "None" in (_answers(inspect.signature(throttle)) or ()):
        return None
    raise TypeError(
        f"{type(job).__name__}.{name}: a throttle must return True or False, or a reason in words, "
        f"not {answer!r}"
    )


def deferral(job: Job, filter: Deferral) -> Filter:
    """Return what a throttle defers.

    Raises:
        TypeError: its function did not return a filter.
    """
    result = filter(job) if callable(filter) else filter
    if not isinstance(result, Mapping):
        raise TypeError(
            f"@throttle: the function filter= must return a Mongo filter, not {result!r}"
        )
    return result
