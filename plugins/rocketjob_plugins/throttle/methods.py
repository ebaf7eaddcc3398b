"""`@throttle`: your own rules for deferring jobs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from rocketjob import Job
from rocketjob.base.errors import ConfigurationError
from rocketjob.store import Filter

F = TypeVar("F", bound=Callable[..., Any])
Deferral = Callable[[Any], Filter] | Filter
MARK = "__rocketjob_throttle__"


def this_class(job: Job) -> Filter:
    """Return a filter that defers all jobs of the job's class."""
    return {"_type": type(job).type_name()}


def this_job(job: Job) -> Filter:
    """Return a filter that defers only this job."""
    return {"_id": job.id}


@overload
def throttle(function: F) -> F: ...
@overload
def throttle(*, filter: Deferral = ...) -> Callable[[F], F]: ...
def throttle(function: Any = None, *, filter: Deferral = this_class) -> Any:
    """Mark a method that returns True while its jobs must wait.

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
    if signature.return_annotation not in (inspect.Signature.empty, bool, "bool", Any, "Any"):
        raise ConfigurationError(
            f"{name}: a throttle returns True or False: annotate it with -> bool, "
            f"not {signature.return_annotation}"
        )


def ask(job: Job, name: str) -> bool:
    """Call one throttle.

    Raises:
        TypeError: it returned neither True nor False.
    """
    answer = getattr(job, name)()
    if not isinstance(answer, bool):
        raise TypeError(
            f"{type(job).__name__}.{name}: a throttle must return True or False, not {answer!r}"
        )
    return answer


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
