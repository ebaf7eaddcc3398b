"""The marks of hooks, and of who implements them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F")
GROUP = "rocketjob"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
ONLY_FOR = "__rocketjob_only_for__"  # what `only_for` sets
WRAPPED = "__rocketjob_wrapped__"  # what `wrapped` sets


def only_for(*job_classes: type[Any]) -> Callable[[F], F]:
    """Have a hook that takes a `job` called for jobs of these classes only, such as a mixin's.

    Where no job of a class concerns any plugin, the hook costs that class nothing::

        @hookimpl
        @only_for(Throttle)
        def veto_claim(job): ...

    Args:
        job_classes: a job of one of them, or of a class below, is asked about.

    Raises:
        TypeError: something else than a class is given, or nothing.
    """
    if not job_classes or not all(isinstance(each, type) for each in job_classes):
        raise TypeError(f"only_for takes classes of jobs, not {job_classes!r}")

    def decorate(function: F) -> F:
        setattr(function, ONLY_FOR, job_classes)
        return function

    return decorate


def wrapped(specification: F) -> F:
    """Let a hook have wrappers only: something else than plugins is called within them."""
    setattr(specification, WRAPPED, True)
    return specification
