"""A context of its own for each job: what one sets the next does not find.

Context variables, and with them the precision of decimals: `contextvars` copies what a variable
refers to only by reference, so a context of decimals that the app has set is copied by itself.
Where none is set, a job that asks for one gets its own.
"""

from __future__ import annotations

import contextvars
import decimal
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_fresh_context(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a copy of the present context, which is as it was afterwards."""
    return fresh_context().run(function, *args, **kwargs)


def fresh_context() -> contextvars.Context:
    """Return a copy of the present context."""
    fresh = contextvars.copy_context()
    if _DECIMALS is None or _DECIMALS in fresh:
        fresh.run(_copy_decimals)
    return fresh


def _copy_decimals() -> None:
    decimal.setcontext(decimal.getcontext().copy())


def _variable_of_decimals() -> contextvars.ContextVar[Any] | None:
    """Return where `decimal` keeps its context, which it does not tell: what it sets first."""
    empty = contextvars.Context()
    empty.run(decimal.getcontext)
    return next(iter(empty), None)


_DECIMALS = _variable_of_decimals()


def take_over(changed: contextvars.Context) -> None:
    """Set here what was set in a copy of this context."""
    for variable, value in changed.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)


_UNSET = object()
