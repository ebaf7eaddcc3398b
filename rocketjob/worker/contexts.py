"""A context of its own for each job: what one sets the next does not find.

Context variables, and with them the precision of decimals: `contextvars` copies what a variable
refers to only by reference, so the context of decimals is copied by itself.
"""

from __future__ import annotations

import contextvars
import decimal
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_fresh_context(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a copy of the present context, which is as it was afterwards."""

    def call() -> R:
        decimal.setcontext(decimal.getcontext().copy())
        return function(*args, **kwargs)

    return contextvars.copy_context().run(call)


def take_over(changed: contextvars.Context) -> None:
    """Set here what was set in a copy of this context."""
    for variable, value in changed.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)


_UNSET = object()
